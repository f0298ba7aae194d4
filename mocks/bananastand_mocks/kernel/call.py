"""One call to an operation, as the HTTP handler builds it and the providers' functions read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bananastand.contracts.operation import Operation

    from .faults import Fault
    from .limits import Allowance
    from .world import World

__all__ = ["ApiCall", "EndpointFunction"]

EndpointFunction = Callable[..., Any]


class ApiCall:
    """A request whose operation is known.

    Attributes:
        operation: The operation of the contract that the address names.
        method: The HTTP method.
        target: The path below the provider's mount, as it came.
        path: The path parameters as text.
        query: The query parameters as text; a name that comes twice has a list.
        headers: The headers, their names in lower case.
        raw: The bytes of the body.
        body: The body's JSON value; None without a body.
        parameters: Path, query and header parameters as the types of the contract, once the request was checked.
        origin: Scheme and host that the client used.
        root: The path below which the provider is mounted.
        world: The world of the credential; before authentication that of the address.
        credential: The secret that the call carries; None for an operation without one.
        faults: The injected faults that strike this call.
        allowance: What is left of the rate limit under which the call was counted; None where none applies.
    """

    __slots__ = (
        "allowance",
        "body",
        "credential",
        "faults",
        "headers",
        "method",
        "operation",
        "origin",
        "parameters",
        "path",
        "query",
        "raw",
        "root",
        "target",
        "world",
    )

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
        self.operation, self.method, self.target = operation, method, target
        self.path, self.query, self.headers = path, query, headers
        self.origin, self.root, self.world = origin, root, world
        self.raw = b""
        self.body: Any = None
        self.parameters: dict[str, Any] = {}
        self.credential: str | None = None
        self.faults: list[Fault] = []
        self.allowance: Allowance | None = None
