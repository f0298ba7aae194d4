"""The FastAPI application of one provider.

Each operation of the contract is a route, named by its operationId, whose `endpoint` is the provider's function; the
contract is the application's OpenAPI document, at /openapi.json and, as a page, at /docs. Calls go past FastAPI's own
routing straight to the `HttpHandler` behind the routes, so that every error has the provider's own form. A server of
many providers imports this module on first use: FastAPI takes longer to import than everything else together.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from bananastand.contracts.operation_route import OperationRoute

from .due_events import running_events
from .http_handler import HttpHandler
from .provider import Provider, Socket
from .worlds import Worlds

__all__ = ["ProviderApp"]

DOCS = "/docs"


class ProviderApp(FastAPI):
    """One provider, by itself or mounted.

    Args:
        provider: The provider.
        worlds: Its worlds; the other providers of a server share them.
        strict: As for `HttpHandler`.
    """

    def __init__(self, provider: Provider, worlds: Worlds, *, strict: bool = False) -> None:
        info = provider.contract.document["info"]
        super().__init__(
            title=info["title"],
            version=info["version"],
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            lifespan=lambda app: running_events(worlds),
        )
        self.provider, self.worlds = provider, worlds
        self._handler = HttpHandler(provider, worlds, strict=strict)
        self._pages = {f"/{first}": make(worlds) for first, make in provider.pages.items()}
        self.router.routes += [
            *(
                OperationRoute(operation, provider.endpoints[operation.id], self._handler)
                for operation in provider.contract.operations
            ),
            *(WebSocketRoute(path, _bound_socket(socket, worlds)) for path, socket in provider.sockets.items()),
            Route("/openapi.json", self._handler, methods=["GET"], name="openapi"),
            Route(DOCS, self._docs, name="docs"),
        ]

    def openapi(self) -> dict[str, Any]:
        """Return the contract."""
        return self.provider.contract.document

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve HTTP with the handler or one of the provider's pages, and the rest with FastAPI."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == DOCS and scope["method"] in ("GET", "HEAD"):
            await self._docs(Request(scope))(scope, receive, send)
        elif self._pages and (page := self._pages.get(f"/{path[1:].partition('/')[0]}")) is not None:
            await page(scope, receive, send)
        else:
            await self._handler(scope, receive, send)

    def _docs(self, request: Request) -> HTMLResponse:
        from .reference import reference_page

        return HTMLResponse(reference_page(self.provider, request.scope.get("root_path", "")))


def _bound_socket(socket: Socket, worlds: Worlds) -> Any:
    async def serve(websocket: WebSocket) -> None:
        await socket(websocket, worlds)

    return serve
