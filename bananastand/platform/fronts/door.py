"""The port at which fronts reach each other: TLS for holders of a certificate of the fronts' authority."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any

import uvicorn

from bananastand.asgi.connection_limiter import ConnectionLimiter
from bananastand.asgi.limits import ConnectionLimits
from bananastand.asgi.protocol import ServerConfig
from bananastand.asgi.responses import send_response

from ..http.forwarded import HEADER, Forwarded, with_forwarded
from ..scheduling.repeat import REPEAT
from .front import Front
from .http_forwarder import NOT_ACTIVE, NOTHING_DONE, RELEASED

__all__ = ["Door"]

HEAD_BYTES = 96 * 2**10  # of a request's headers: what a caller may send, and what the other front says of it


class Door:
    """Serves the requests that other fronts forward.

    Args:
        front: This front.
        context: TLS of a front that is called.
        max_message: Bytes of a websocket's message.
    """

    def __init__(self, front: Front, context: ssl.SSLContext, max_message: int) -> None:
        self._front, self._context, self._max_message = front, context, max_message
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    def open(self, listener: socket.socket) -> None:
        """Begin to serve on a socket."""
        limiter = ConnectionLimiter(ConnectionLimits(head_bytes=HEAD_BYTES), name="the fronts' port", raise_files=True)
        config = ServerConfig(self, limiter=limiter, lifespan="off", ws_max_size=self._max_message)
        config.load()
        config.ssl = self._context
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve([listener]), name="fronts' port")

    async def close(self) -> None:
        """Stop serving."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await asyncio.wait({self._task})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a forwarded request, or say that this front is not active."""
        values = [value for name, value in scope["headers"] if name == HEADER]
        app = self._front.app
        if app is None or len(values) != 1:
            await _refuse(scope, receive, send)
            return
        forwarded = Forwarded.decode(values[0])
        REPEAT.set(forwarded.repeat)
        await app(with_forwarded(scope, forwarded), receive, self._marked(send))

    def _marked(self, send: Any) -> Any:
        """Return a `send` that tells the other front where a call goes on although its caller gets no answer here."""

        async def send_marked(message: Any) -> None:
            if message["type"].endswith("http.response.start") and message["status"] == 503 and not self._front.app:
                message = {**message, "headers": [*message["headers"], (NOT_ACTIVE, RELEASED)]}
            await send(message)

        return send_marked


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: those of the main server stop this one too."""

    def capture_signals(self) -> Any:
        """Handle no signals."""
        return contextlib.nullcontext()


async def _refuse(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send_response(send, 503, b"", b"text/plain", [(NOT_ACTIVE, NOTHING_DONE)])
        return
    await receive()
    await send({"type": "websocket.http.response.start", "status": 503, "headers": [(NOT_ACTIVE, NOTHING_DONE)]})
    await send({"type": "websocket.http.response.body", "body": b""})
