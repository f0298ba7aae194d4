"""Banana's API over HTTP: every operation of a contract is a route of a Starlette application."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from bananastand.asgi.bodies import BodyBudget, ClientDisconnected
from bananastand.contracts.errors import Problem, ProviderError
from bananastand.contracts.operation import Operation
from bananastand.contracts.operation_route import OperationRoute
from bananastand.contracts.parameters import parse_query
from bananastand.contracts.request import ApiRequest, check_request, parse_body
from bananastand.contracts.request_body import read_request_body
from bananastand.contracts.response import ApiResponse, encode
from bananastand.contracts.response_headers import Headers, add_refusal_headers, preflight_headers, response_headers

from .api import BananaApi
from .build_log import PATH, LogReaders, stream_build_log
from .gateway import GatewayApi
from .native import NativeApi
from .runtime import Runtime

__all__ = ["BananaService", "banana_services"]

log = logging.getLogger("bananastand.banana_api")


Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def banana_services(runtime: Runtime, is_key: Callable[[str], bool], bodies: BodyBudget) -> dict[str, BananaService]:
    """Build the services of Banana's own API and of Banana.dev through LowCodeAPI.

    Args:
        runtime: Runs the models.
        is_key: Whether a text is a valid key or api_token.
        bodies: The memory that all request bodies share.

    Returns:
        The services by their mounts.
    """
    apis = (GatewayApi(), NativeApi())
    return {api.mount: BananaService(api, runtime, is_key, bodies) for api in apis}


class BananaService(Starlette):
    """Serves one of Banana's APIs.

    Args:
        api: The API.
        runtime: Runs the models.
        is_key: Whether a text is a valid key or api_token.
        bodies: The memory that all request bodies of the server share.
    """

    def __init__(self, api: BananaApi, runtime: Runtime, is_key: Callable[[str], bool], bodies: BodyBudget) -> None:
        self.api, self._runtime, self._is_key, self._bodies = api, runtime, is_key, bodies
        self._log_readers = LogReaders()
        routes: list[BaseRoute] = [
            OperationRoute(operation, api.operations[operation.id], self._handler(operation))
            for operation in api.contract.routes.operations
        ]
        if isinstance(api, NativeApi):
            routes.append(WebSocketRoute(PATH, self._build_log))
        super().__init__(routes=routes)
        self.router.redirect_slashes = False
        self.router.default = self._serve_no_operation

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer what needs no operation, and route the rest."""
        if scope["type"] == "http":
            headers = _headers(scope)
            path, query = _path(scope) or "/", scope["query_string"].decode("latin-1")
            if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
                await _send(send, 204, preflight_headers(headers, cors=self.api.cors), b"")
                return
            base = _origin(scope, headers) + scope.get("root_path", "")
            if (response := self.api.early(scope["method"], path, headers, base)) is not None:
                await self._deliver(scope, send, headers, response)
                return
            path, query = self.api.rewrite(path, query)
            scope = {**scope, "path": scope.get("root_path", "") + path, "query_string": query.encode("latin-1")}
        await self.router(scope, receive, send)

    def refusal(self, status: int, message: str) -> tuple[str, bytes]:
        """Word a refusal that comes before any request is read; the content type and the body."""
        response = self.api.failure(Problem("fault", message, status=status), None, self._runtime)
        return self.api.json_type, encode(response)

    def _handler(self, operation: Operation) -> Any:
        async def serve(scope: Any, receive: Receive, send: Send) -> None:
            await self._serve(operation, scope, receive, send)

        return serve

    async def _serve(self, operation: Operation, scope: Any, receive: Receive, send: Send) -> None:
        request = ApiRequest(
            operation,
            scope["method"],
            _path(scope),
            scope["path_params"],
            parse_query(scope["query_string"].decode("latin-1")),
            headers := _headers(scope),
            origin=_origin(scope, headers),
            root=scope.get("root_path", ""),
        )
        try:
            response = await self._answer(request, receive)
        except ClientDisconnected:
            return
        await self._deliver(scope, send, headers, response, request)

    async def _answer(self, request: ApiRequest, receive: Receive) -> ApiResponse:
        """Read the body, authenticate, check the request against the contract, and call the operation's function."""
        api = self.api
        with self._bodies.reserve() as reservation:
            try:
                raw = await self._read_body(request.method, request.headers, receive, reservation)
                request.raw = api.decode_body(raw, request.headers, reservation)
                parse_body(request, objects_only=api.objects_only)
                self._authenticate(request)
                api.prepare(request)
                check_request(request)
                result = api.operations[request.operation.id](self._runtime, request)
                if isinstance(result, CoroutineType):
                    result = await result
                if not isinstance(result, ApiResponse):
                    result = ApiResponse(result, request.operation.status)
                return api.success(result)
            except ProviderError as error:
                return self._refuse(error.problem, request)
            except ClientDisconnected:
                raise
            except Exception:
                return self._fail(request)

    def _authenticate(self, request: ApiRequest) -> None:
        key = self.api.key(request)
        if key is not None and not self._is_key(key):
            raise ProviderError("unknown_credential")

    async def _read_body(self, method: str, headers: dict[str, str], receive: Receive, reservation: Any) -> bytes:
        return await read_request_body(receive, method, headers, self.api.max_body, reservation)

    async def _serve_no_operation(self, scope: Any, receive: Receive, send: Send) -> None:
        """Refuse an address without an operation, after its body was read."""
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close()
            return
        headers, method = _headers(scope), scope["method"]
        try:
            with self._bodies.reserve() as reservation:
                await self._read_body(method, headers, receive, reservation)
            self.api.contract.routes.find(method, _path(scope))
        except ClientDisconnected:
            return
        except ProviderError as error:
            await self._deliver(scope, send, headers, self._refuse(error.problem, None))

    def _refuse(self, problem: Problem, request: ApiRequest | None) -> ApiResponse:
        try:
            response = self.api.failure(problem, request, self._runtime)
        except Exception:
            return self._fail(request)
        add_refusal_headers(response, problem)
        return response

    def _fail(self, request: ApiRequest | None) -> ApiResponse:
        """Log the exception at hand, and answer with the API's 500."""
        log.exception("operation %s of %s failed", request.operation.id if request else None, self.api.mount)
        return self.api.failure(Problem("server_error"), request, self._runtime)

    async def _deliver(
        self, scope: Any, send: Send, headers: dict[str, str], response: ApiResponse, request: ApiRequest | None = None
    ) -> None:
        try:
            content = encode(response)
        except Exception:
            response = self._fail(request)
            content = encode(response)
        listed = response_headers(response, content, headers, json_type=self.api.json_type, cors=self.api.cors)
        await _send(send, response.status, listed, b"" if scope["method"] == "HEAD" else content)

    async def _build_log(self, websocket: WebSocket) -> None:
        is_key = self._is_key(websocket.headers.get("x-banana-api-key", ""))
        await stream_build_log(websocket, self._runtime if is_key else None, self._log_readers)


def _path(scope: Any) -> str:
    """The path below the mount."""
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _origin(scope: Any, headers: dict[str, str]) -> str:
    """Scheme and host that the client used."""
    return f"{scope.get('scheme', 'http')}://{headers.get('host', 'localhost')}"


def _headers(scope: Any) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def _send(send: Send, status: int, headers: Headers, content: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
