"""What a provider tells the kernel about itself. Knows no provider.

A provider is a contract, one function for each operationId, its errors and its credentials. The functions are handed
what their parameter names ask for: `world`, `parameters` (path, query and header parameters in one), `body` (parsed
JSON), `call`, `dispatch` (make another call of the same provider, in process), or a resource such as `runtime`. They
return the body of the contract's first success, or an `ApiResponse`, and refuse with `ProviderError`. They may be
async.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from starlette.websockets import WebSocket

from bananastand.contracts.contract import Contract, load
from bananastand.contracts.errors import Problem
from bananastand.contracts.response import ApiResponse

from .call import ApiCall, Endpoint
from .ids import Ids
from .limits import Allowance
from .world import Event, World
from .worlds import Kind, Worlds

__all__ = ["Credential", "Pages", "Provider", "Socket"]

Socket = Callable[[WebSocket, Worlds], Awaitable[None]]
Pages = Callable[[Worlds], Any]


@dataclass(frozen=True, slots=True)
class Credential:
    """A kind of secret: its well-known value in the default world, and how other worlds get theirs.

    Where a provider keeps tenants apart, `other` is well known too, as the value in a second world of that name.
    """

    kind: str
    well_known: str
    mint: Callable[[Ids], str]
    other: str | None = None


class Provider(ABC):
    """One API at one mount.

    `title` and `summary` are for the index page. `json_type` is the content type of its JSON answers, `cors` what it
    tells browsers ("*" or "reflect", which names the caller's origin and allows credentials). Bodies longer than
    `max_body` are refused while they arrive. With `parse_first` a body that is not JSON is refused before the
    credential is looked at. With `objects_only` a bare string or number is no JSON body, as Express has it.
    `sockets` are websockets, by path; `pages` make an ASGI application for people, by the first part of its path.
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

    contract_file: Path
    endpoints: Mapping[str, Endpoint]
    events: Mapping[str, Event] = {}
    resources: Mapping[str, Any] = {}
    credentials: Sequence[Credential] = ()
    sockets: Mapping[str, Socket] = {}
    pages: Mapping[str, Pages] = {}

    @cached_property
    def contract(self) -> Contract:
        """Read when the provider is first asked for, so that a server of many starts as soon as one of few."""
        return load(self.contract_file)

    @abstractmethod
    def secret(self, call: ApiCall) -> tuple[str, str] | None:
        """The kind and value of the credential a call carries; None where the operation needs none.

        Raises ProviderError: unauthorized, where one is needed and missing or of a wrong form.
        """

    @abstractmethod
    def failure(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """The provider's own status and body for a problem; `call` is None where no operation was found."""

    def success(self, call: ApiCall, answer: ApiResponse) -> ApiResponse:
        """The answer as this provider sends it."""
        return answer

    @abstractmethod
    def fill(self, world: World, kind: Kind) -> None:
        """Put into a new world what a world of that kind holds; nothing where another provider has done so."""

    def early(self, method: str, path: str, headers: Mapping[str, str]) -> ApiResponse | None:
        """What is answered before anything else is looked at: the contract itself, at /openapi.json."""
        return ApiResponse(self.contract.document) if path == "/openapi.json" and method == "GET" else None

    def rewrite(self, path: str, query: str, pinned: World) -> tuple[str, str]:
        """Path and query string as they are to be read. `pinned` is the world of the address."""
        return path, query

    def refusal(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """The error as `dispatch` gives it to an endpoint: without what a gateway puts around it."""
        return self.failure(call, problem)

    def prepare(self, call: ApiCall) -> None:  # noqa: B027
        """Change an authenticated call before it is checked against the contract."""

    def subject(self, call: ApiCall) -> str | None:
        """Whose calls are counted together under a rate limit; None for a call that is not counted."""
        return call.credential or ""

    def limit_headers(self, allowance: Allowance) -> dict[str, str]:
        """Headers that tell of a rate limit, on every answer to a call that was counted."""
        return {}
