"""One call, as the kernel and the endpoints pass it on. Knows no transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bananastand.contracts.operation import Operation

    from .faults import Fault
    from .limits import Allowance
    from .world import World

__all__ = ["ApiCall", "Endpoint"]

Endpoint = Callable[..., Any]


class ApiCall:
    """A request that has found its operation.

    `path` and `query` are as they came, the parsed parameters are handed to the endpoint. `headers` are lower-case,
    `raw` the body's bytes, `body` its JSON (None without one). `origin` is the scheme and host the caller used, `root`
    the path below which the provider is served. World and credential are known after authentication, and `allowance` is
    what is left of the rate limit under which the call was counted.
    """

    __slots__ = ("_world", "allowance", "body", "credential", "faults", "headers", "method", "operation", "origin",
                 "path", "query", "raw", "root", "target")  # fmt: skip

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
        self.operation, self.method, self.target = operation, method, target
        self.path, self.query, self.headers = path, query, headers
        self.origin, self.root = origin, root
        self.raw = b""
        self.body: Any = None
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
