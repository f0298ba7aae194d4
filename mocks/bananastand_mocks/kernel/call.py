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

__all__ = ["ApiCall", "EndpointFunction"]

EndpointFunction = Callable[..., Any]


class ApiCall(ApiRequest):
    """A request whose operation is known, in a world.

    Attributes:
        world: The world of the credential; before authentication that of the address.
        credential: The secret that the call carries; None for an operation without one.
        faults: The injected faults that strike this call.
        sent: The body as it came, where a provider has read it more freely into `body`.
        allowance: What is left of the rate limit under which the call was counted; None where none applies.
    """

    __slots__ = ("allowance", "credential", "faults", "sent", "world")

    def __init__(
        self,
        operation: Operation,
        method: str,
        target: str,
        path: dict[str, str],
        query: dict[str, Any],
        headers: dict[str, str],
        world: World,
        *,
        origin: str = "",
        root: str = "",
    ) -> None:
        super().__init__(operation, method, target, path, query, headers, origin=origin, root=root)
        self.world = world
        self.credential: str | None = None
        self.faults: list[Fault] = []
        self.sent: Any = None
        self.allowance: Allowance | None = None
