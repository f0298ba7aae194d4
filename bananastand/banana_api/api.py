"""What Banana's two addresses have in common: the class behind `NativeApi` and `GatewayApi`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from bananastand.asgi.bodies import BodyReservation
from bananastand.contracts.contract import Contract, load
from bananastand.contracts.errors import Problem
from bananastand.contracts.request import ApiRequest
from bananastand.contracts.response import JSON, ApiResponse

from .runtime import Runtime

__all__ = ["ApiFunction", "BananaApi"]

ApiFunction = Callable[[Runtime, ApiRequest], Any]


class BananaApi(ABC):
    """An API of Banana's at one mount.

    Attributes:
        mount: The path below which it is served.
        contract_file: Its OpenAPI document.
        operations: The functions by operationId. Each returns the body of the contract's first success or an
            ApiResponse; some are async.
        json_type: The content type of its JSON responses.
        cors: The origins that it allows: "*", or "reflect" to name the caller's origin and allow credentials.
        max_body: Bytes that a request's body may have.
        objects_only: Whether a bare string or number is refused as a JSON body.
    """

    mount: ClassVar[str]
    contract_file: ClassVar[Path]
    operations: Mapping[str, ApiFunction]
    json_type: ClassVar[str] = JSON
    cors: ClassVar[str] = "*"
    max_body: ClassVar[int] = 10 * 2**20
    objects_only: ClassVar[bool] = False

    @cached_property
    def contract(self) -> Contract:
        """The contract, read on first use."""
        return load(self.contract_file)

    @abstractmethod
    def key(self, request: ApiRequest) -> str | None:
        """Return the key that a request carries; None where its operation needs none.

        Raises:
            ProviderError: unauthorized, where the key is missing or malformed.
        """

    @abstractmethod
    def failure(self, problem: Problem, request: ApiRequest | None, runtime: Runtime) -> ApiResponse:
        """Render a problem.

        Args:
            problem: The problem.
            request: The request; None where its address names no operation.
            runtime: The runtime.
        """

    def success(self, response: ApiResponse) -> ApiResponse:
        """Return a successful response as this API sends it."""
        return response

    def early(self, method: str, path: str, headers: Mapping[str, str], base: str) -> ApiResponse | None:
        """Return what is answered without a key, such as the contract at /openapi.json; `base` is the API's address."""
        return ApiResponse(self.contract.served_at(base)) if path == "/openapi.json" and method == "GET" else None

    def rewrite(self, path: str, query: str) -> tuple[str, str]:
        """Return path and query string as they are to be read."""
        return path, query

    def decode_body(self, raw: bytes, headers: Mapping[str, str], reservation: BodyReservation) -> bytes:
        """Return a request's body as it is to be read; `reservation` counts what it grows by."""
        return raw

    def prepare(self, request: ApiRequest) -> None:  # noqa: B027
        """Change an authenticated request before it is checked against the contract."""
