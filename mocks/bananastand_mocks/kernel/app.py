"""The FastAPI application of one provider. Knows the kernel's service and no provider.

Its routes are registered from the contract, which is also its OpenAPI document. HTTP calls go past FastAPI's own
routing straight to the wire, so that no answer of FastAPI's own (a 422 with a list, a 405) can come of a mock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from .provider import Provider, Socket
from .service import Service
from .wire import Wire
from .worlds import Worlds

__all__ = ["PINNED", "ProviderApp", "turning"]

log = logging.getLogger("bananastand_mocks")

PINNED = "bananastand.world"  # in an ASGI scope: the world that the address names
PERIOD = 0.02  # seconds between two looks at the clocks of worlds in real time


@asynccontextmanager
async def turning(worlds: Worlds) -> AsyncGenerator[None]:
    """While it lasts, what falls due in real time happens without a call."""
    turner = asyncio.create_task(_turn(worlds))
    try:
        yield
    finally:
        turner.cancel()
        with suppress(asyncio.CancelledError):
            await turner


class ProviderApp(FastAPI):
    """One provider, by itself or mounted; `worlds` are shared with the other providers of a server."""

    def __init__(self, provider: Provider, worlds: Worlds, *, strict: bool = False) -> None:
        info = provider.contract.document["info"]
        super().__init__(
            title=info["title"], version=info["version"], openapi_url=None, docs_url=None, redoc_url=None,
            lifespan=lambda app: turning(worlds),
        )  # fmt: skip
        self.provider, self.worlds = provider, worlds
        self._wire = Wire(Service(provider, worlds, strict=strict))
        for operation in provider.contract.operations:
            self.router.routes.append(Route(operation.template, self._http, methods=[operation.method]))
        for path, socket in provider.sockets.items():
            self.router.routes.append(WebSocketRoute(path, _socket(socket, worlds)))
        self._pages = {f"/{first}": make(worlds) for first, make in provider.pages.items()}

    def openapi(self) -> dict[str, Any]:
        """The contract."""
        return self.provider.contract.document

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """HTTP goes to the wire, the rest to FastAPI."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        root: str = scope.get("root_path", "")
        path: str = scope["path"]
        if root and path.startswith(root):
            path = path[len(root) :]
        if self._pages and (pages := self._pages.get(f"/{path[1:].partition('/')[0]}")) is not None:
            await pages(scope, receive, send)
            return
        await self._wire(scope, receive, send, path or "/", root, scope.get(PINNED))


async def _turn(worlds: Worlds) -> None:
    while True:
        try:
            worlds.turn()
        except Exception:
            log.exception("an event failed")
        await asyncio.sleep(PERIOD)


def _socket(socket: Socket, worlds: Worlds) -> Any:
    async def serve(websocket: WebSocket) -> None:
        await socket(websocket, worlds)

    return serve
