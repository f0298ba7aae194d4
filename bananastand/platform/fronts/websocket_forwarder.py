"""Relays a websocket between its caller and the active front."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response
from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from ..http.forwarded import HEADER, Forwarded
from ..http.headers import raw_path
from ..http.websocket_caller import Close, WebsocketCaller
from ..replicas.websocket_client import close_websocket
from .authority import SERVER_NAME
from .http_forwarder import NOT_ACTIVE, NOTHING_DONE, Interrupted, NotDelivered, passed_headers
from .register import address_of

__all__ = ["WebsocketForwarder"]

CONNECT_SECONDS = 2.0
DRAIN_SECONDS = 2.0  # for messages that a caller sent before it left
CLOSE_SECONDS = 3.0
MAX_QUEUE = 2  # messages that are read ahead of the caller
GONE = Close(1012, "the active front is gone; connect again")
NO_CODE = 1005
OF_THE_HANDSHAKE = b"sec-websocket-"


class WebsocketForwarder:
    """Forwards websockets.

    Args:
        context: TLS of a front that calls.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    async def forward(
        self, url: str, scope: Any, forwarded: Forwarded, caller: WebsocketCaller, moved: Awaitable[None]
    ) -> None:
        """Open a websocket to a front, and relay until one side is gone.

        Args:
            url: The front's.
            scope: The caller's handshake.
            forwarded: What to say of it.
            caller: The caller.
            moved: Done when the front is not active any longer.

        Raises:
            NotDelivered, Interrupted: The caller's handshake is not answered.
        """
        gone = asyncio.ensure_future(moved)
        try:
            connection = await self._connect(url, scope)
        except BaseException:
            gone.cancel()
            raise
        try:
            handshake = asyncio.ensure_future(connection.handshake(_headers(scope, forwarded), None))
            try:
                await asyncio.wait({handshake, caller.gone, gone}, return_when=asyncio.FIRST_COMPLETED)
                if caller.gone.done():
                    return
                if not handshake.done():
                    raise Interrupted
                await self._opened(handshake, connection, caller, gone)
            finally:
                handshake.cancel()
                gone.cancel()
        finally:
            connection.transport.abort()

    async def _connect(self, url: str, scope: Any) -> ClientConnection:
        own = urlsplit(f"//{_host(scope)}")
        target = raw_path(scope).decode("latin-1")
        uri = WebSocketURI(False, own.hostname or "localhost", own.port or 80, target, scope["query_string"].decode())
        offered = [Subprotocol(name) for name in scope.get("subprotocols") or ()] or None

        def connection() -> ClientConnection:
            protocol = ClientProtocol(uri, subprotocols=offered, max_size=None)
            return ClientConnection(protocol, ping_interval=None, close_timeout=CLOSE_SECONDS, max_queue=MAX_QUEUE)

        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, opened = await loop.create_connection(
                    connection, *address_of(url), ssl=self._context, server_hostname=SERVER_NAME
                )
        except (OSError, TimeoutError) as error:
            raise NotDelivered(str(error)) from error
        return opened

    async def _opened(
        self,
        handshake: asyncio.Future[None],
        connection: ClientConnection,
        caller: WebsocketCaller,
        gone: asyncio.Future[None],
    ) -> None:
        try:
            handshake.result()
        except InvalidStatus as error:
            await _deny(error, caller)
            return
        except (WebSocketException, OSError, EOFError) as error:
            raise Interrupted(str(error)) from error
        answer = connection.response
        assert answer is not None, "a handshake that is done has a response"
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.raw_items()]
        passed = [(name, value) for name, value in headers if name not in (b"connection", b"upgrade", b"date")]
        passed = [(name, value) for name, value in passed if not name.startswith(OF_THE_HANDSHAKE)]
        try:
            await caller.accept(connection.subprotocol, passed)
        except OSError:
            return
        await _relay(connection, caller, gone)


async def _relay(connection: ClientConnection, caller: WebsocketCaller, gone: asyncio.Future[None]) -> None:
    up = asyncio.create_task(_to_front(connection, caller))
    down = asyncio.create_task(_to_caller(connection, caller))
    try:
        await asyncio.wait({down, caller.gone, gone}, return_when=asyncio.FIRST_COMPLETED)
        if down.done():
            await caller.close(down.result())
        elif caller.gone.done():
            await asyncio.wait({up}, timeout=DRAIN_SECONDS)
            close = caller.gone.result()
            await close_websocket(connection, close.code, close.short_reason)
        else:
            await caller.close(GONE)
    finally:
        for task in (up, down):
            task.cancel()
        await asyncio.wait({up, down})


async def _to_front(connection: ClientConnection, caller: WebsocketCaller) -> None:
    try:
        while (message := await caller.next_message()) is not None:
            await connection.send(message)
    except ConnectionClosed:
        pass  # the other direction reports how


async def _to_caller(connection: ClientConnection, caller: WebsocketCaller) -> Close:
    """Pass messages on until one side is gone; return how the caller's side is to be closed."""
    try:
        while True:
            await caller.send(await connection.recv())
    except ConnectionClosed:
        received = connection.protocol.close_rcvd
        if received is None:
            return GONE
        return Close(None if received.code == NO_CODE else received.code, received.reason)
    except OSError:
        return GONE


async def _deny(error: InvalidStatus, caller: WebsocketCaller) -> None:
    answer = error.response
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.raw_items()]
    if (done := dict(headers).get(NOT_ACTIVE)) is not None:
        raise NotDelivered if done == NOTHING_DONE else Interrupted
    response = Response(bytes(answer.body or b""), answer.status_code)
    response.raw_headers = [(name, value) for name, value in headers if name not in (b"connection", b"date")]
    await caller.deny(response)


def _headers(scope: Any, forwarded: Forwarded) -> list[tuple[str, str]]:
    passed = [*passed_headers({**scope, "headers": _own(scope)}), (HEADER, forwarded.encode())]
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in passed]


def _own(scope: Any) -> list[tuple[bytes, bytes]]:
    """Return the caller's headers without those that the handshake writes itself."""
    written = (b"host", b"connection", b"upgrade")
    return [
        (name, value)
        for name, value in scope["headers"]
        if name not in written and not name.startswith(OF_THE_HANDSHAKE)
    ]


def _host(scope: Any) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "localhost")
