"""What a provider tells the kernel about itself.

A provider is a contract, one function for each operationId, its errors and its credentials. A function takes what its
parameter names ask for:

world          the world of the call
parameters     path, query and header parameters in one dict, as the types of the contract
body           the parsed JSON body
call           the whole `ApiCall`
dispatch       makes another call of the same provider, in process
(a resource)   whatever the provider lists in `resources`, such as `runtime`

It returns the body of the contract's first success, or an `ApiResponse`, and refuses with `ProviderError`. It may be
async.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bananastand.asgi.bodies import BodyReservation
from bananastand.contracts.contract import Contract, load
from bananastand.contracts.errors import Problem
from bananastand.contracts.response import ApiResponse

from .call import ApiCall, EndpointFunction
from .credentials import Credential
from .http_request import HttpRequest
from .limits import Allowance
from .world import EventHandler, World
from .worlds import Kind, Worlds

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["Credential", "Pages", "Provider", "Socket"]

Socket = Callable[["WebSocket", Worlds], Awaitable[None]]
Pages = Callable[[Worlds], Any]


class Provider(ABC):
    """One API at one mount.

    Attributes:
        name: The provider's name in fixtures, journals and contracts.
        mount: The path below which a server of many providers serves it.
        title: Its name on the index page.
        summary: What it offers, on the index page.
        json_type: The content type of its JSON responses.
        cors: The origins that it allows: "*", or "reflect" to name the caller's origin and allow credentials.
        max_body: Bytes that a request's body may have.
        parse_first: Whether a body that is not JSON is refused before the credential is looked at.
        objects_only: Whether a bare string or number is refused as a JSON body, as Express refuses it.
        contract_file: Its OpenAPI document.
        endpoints: The functions by operationId.
        events: What happens when an event falls due, by the event's name.
        resources: What functions can ask for beside the call, by parameter name.
        credentials: The kinds of secret that it takes, first that of its callers.
        sockets: Its websockets by path.
        is_checked: Whether its responses are held to its contract.
        pages: Makers of ASGI applications for people, by the first part of their path.
        hosts: The real service's host names, each with the path of a server of many providers that it stands for; in
            the path of a name such as `*.run.banana.dev`, `{}` is the first part of the host.
    """

    name: str
    mount: str
    title: str
    summary: str = ""
    json_type: ClassVar[str] = "application/json"
    cors: ClassVar[str] = "*"
    max_body: ClassVar[int] = 10 * 2**20
    parse_first: ClassVar[bool] = True
    objects_only: ClassVar[bool] = False
    is_checked: ClassVar[bool] = True

    contract_file: Path
    endpoints: Mapping[str, EndpointFunction]
    events: Mapping[str, EventHandler] = {}
    resources: Mapping[str, Any] = {}
    credentials: Sequence[Credential] = ()
    sockets: Mapping[str, Socket] = {}
    pages: Mapping[str, Pages] = {}
    hosts: Mapping[str, str] = {}

    @cached_property
    def contract(self) -> Contract:
        """The contract; read on first use, so that a server of many providers starts as soon as one of few."""
        return load(self.contract_file)

    @abstractmethod
    def secret(self, call: ApiCall) -> tuple[str, str] | None:
        """Return the kind and value of the call's credential; None where the operation needs none.

        Raises:
            ProviderError: unauthorized, where the credential is missing or malformed.
        """

    @abstractmethod
    def failure(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """Render a problem with the provider's own status and body; `call` is None without an operation."""

    def success(self, call: ApiCall, response: ApiResponse) -> ApiResponse:
        """Return a successful response as this provider sends it."""
        return response

    @abstractmethod
    def fill(self, world: World, kind: Kind) -> None:
        """Put into a new world what a world of that kind holds, unless another provider has done so."""

    def early(self, request: HttpRequest) -> ApiResponse | None:
        """Return what is answered before any credential is looked at, such as the contract at /openapi.json."""
        if request.path != "/openapi.json" or request.method != "GET":
            return None
        return ApiResponse(self.contract.served_at(request.base))

    def rewrite(self, path: str, query: str, world: World) -> tuple[str, str]:
        """Return path and query string as they are to be read in the world of the address."""
        return path, query

    def decode_body(self, raw: bytes, headers: Mapping[str, str], reservation: BodyReservation) -> bytes:
        """Return a request's body as it is to be read; `reservation` counts what it grows by."""
        return raw

    def refusal(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """Render a problem for an endpoint that dispatched the call: without a gateway's envelope."""
        return self.failure(call, problem)

    def prepare(self, call: ApiCall) -> None:  # noqa: B027
        """Change an authenticated call before it is checked against the contract."""

    def subject(self, call: ApiCall) -> str | None:
        """Return whose calls are counted together under a rate limit; None for a call that is not counted."""
        return call.credential or ""

    def limit_headers(self, allowance: Allowance) -> dict[str, str]:
        """Return the headers about a rate limit, for every response to a call that was counted."""
        return {}
