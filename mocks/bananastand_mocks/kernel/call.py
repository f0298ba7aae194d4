"""One call to an operation, as the HTTP handler builds it and the providers' functions read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bananastand.contracts.operation import Operation
from bananastand.contracts.request import ApiRequest

if TYPE_CHECKING:
    from .faults import Fault
    from .limits import Allowance
    from .world import World

__all__ = ["ApiCall", "Endpoint"]

Endpoint = Callable[..., Any]


class ApiCall(ApiRequest):
    """A request whose operation is known, in a world."""

    __slots__ = ("_world", "allowance", "credential", "faults")

    def __init__(
        self,
        operation: Operation,
        method: str,
        target: str,
        path: dict[str, str],
        query: dict[str, Any],
        headers: dict[str, str],
        *,
        origin: str = "",
        root: str = "",
    ) -> None:
        super().__init__(operation, method, target, path, query, headers, origin=origin, root=root)
        self.credential: str | None = None
        self.faults: list[Fault] = []
        self.allowance: Allowance | None = None
        self._world: World | None = None

    @property
    def world(self) -> World:
        """The world the call belongs to; only after authentication."""
        assert self._world is not None, "no world before authentication"
        return self._world

    def enter(self, world: World, credential: str | None) -> None:
        """Place the call in a world, as the holder of a credential."""
        self._world, self.credential = world, credential
