"""Opens a websocket to an app that is a server of its own. Knows no caller.

Pings are answered on each hop and not sent to the app: one that computes in its event loop could not answer in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from .client import Headers, ReplicaResponse, RequestNotDelivered, ResponseTimeout

__all__ = ["HandshakeDenied", "HandshakeFailed", "close_websocket", "open_websocket"]

CONNECT = 5.0  # seconds for a connection
CLOSE = 3.0  # seconds for the app's part of the closing handshake
QUEUE = 2  # messages that are read ahead of the caller


class HandshakeDenied(Exception):
    """The app answered the handshake with an HTTP response of its own."""

    def __init__(self, answer: ReplicaResponse) -> None:
        super().__init__(f"the app answered {answer.status}")
        self.answer = answer


class HandshakeFailed(Exception):
    """The app took the connection and gave no answer that can be passed on."""


async def open_websocket(
    address: tuple[str, int], target: str, headers: Headers, subprotocols: Sequence[str], largest: int, timeout: float
) -> ClientConnection:
    """A websocket to the app at this address.

    Args:
        address: Where the app listens.
        target: Path with its query, percent-encoded.
        headers: Those that the app gets beside the handshake's own.
        subprotocols: Those that the caller offers, the preferred one first.
        largest: Bytes of a message from the app; a longer one ends the websocket with 1009.
        timeout: Seconds for the app's answer to the handshake.

    Raises:
        RequestNotDelivered: The app has seen nothing of it.
        Denied, NoHandshake, ResponseTimeout: The app has seen it.
    """
    host, port = address
    path, _, query = target.partition("?")
    uri = WebSocketURI(False, "localhost" if ":" in host else host, port, path, query)

    def connection() -> ClientConnection:
        offered = [Subprotocol(each) for each in subprotocols] or None
        protocol = ClientProtocol(uri, subprotocols=offered, max_size=largest)
        return ClientConnection(protocol, ping_interval=None, close_timeout=CLOSE, max_queue=QUEUE)

    try:
        async with asyncio.timeout(CONNECT):
            _, app = await asyncio.get_running_loop().create_connection(connection, host, port)
    except (OSError, TimeoutError) as error:
        raise RequestNotDelivered(str(error)) from error
    try:
        async with asyncio.timeout(timeout):
            await app.handshake(list(headers), None)
        return app
    except asyncio.CancelledError:
        app.transport.abort()
        raise
    except Exception as error:
        app.transport.abort()
        raise _problem(error) from error


async def close_websocket(app: ClientConnection, code: int | None, reason: str) -> None:
    """End it, with an empty close frame for a code of None. Takes no longer than an app may take to answer that."""
    try:
        async with asyncio.timeout(CLOSE):
            await app.close(cast(Any, code), reason)
    except (TimeoutError, WebSocketException):
        pass  # its own part of the handshake is not to be had
    finally:
        app.transport.abort()


def _problem(error: Exception) -> Exception:
    """What a handshake that failed is called here."""
    if isinstance(error, InvalidStatus):
        response = error.response
        headers = tuple((name.lower(), value) for name, value in response.headers.raw_items())
        return HandshakeDenied(ReplicaResponse(response.status_code, headers, bytes(response.body or b"")))
    if isinstance(error, TimeoutError):
        return ResponseTimeout()
    if isinstance(error, (InvalidHandshake, WebSocketException, OSError, EOFError)):
        cause = error.__cause__
        return HandshakeFailed(f"{error}: {cause}" if cause is not None else str(error))
    return error
