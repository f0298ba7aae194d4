"""Opens and closes websockets to an app that is a server of its own.

Pings are answered on each hop and not sent to the app: an app that computes in its event loop could not answer in time.
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

from ..nodes import Address, Connect
from .client import Headers, ReplicaResponse, RequestNotDelivered, ResponseTimeout

__all__ = ["HandshakeDenied", "HandshakeFailed", "close_websocket", "open_websocket"]

CONNECT_TIMEOUT = 5.0  # seconds
CLOSE_TIMEOUT = 3.0  # seconds for the app's part of the closing handshake
MAX_QUEUE = 2  # messages that are read ahead of the caller


class HandshakeDenied(Exception):
    """The app answered the handshake with an HTTP response of its own."""

    def __init__(self, response: ReplicaResponse) -> None:
        super().__init__(f"the app answered {response.status}")
        self.response = response


class HandshakeFailed(Exception):
    """The app accepted the connection, and its response to the handshake is not valid."""


async def open_websocket(
    address: Address,
    target: str,
    headers: Headers,
    subprotocols: Sequence[str],
    largest: int,
    timeout: float,
    connect: Connect | None = None,
) -> ClientConnection:
    """Open a websocket to an app.

    Args:
        address: Of the app.
        target: Path with its query, percent-encoded.
        headers: In addition to the handshake's own.
        subprotocols: That the caller offers, the preferred one first.
        largest: Bytes of a message from the app; a longer one closes the websocket with 1009.
        timeout: Seconds for the app's response to the handshake.
        connect: Opens the connection; None for plain TCP from this machine.

    Raises:
        RequestNotDelivered: The app has seen nothing of it.
        Denied, NoHandshake, ResponseTimeout: The app has seen it.
    """
    host, port = address
    path, _, query = target.partition("?")
    uri = WebSocketURI(False, "localhost" if ":" in host else host, port, path, query)

    def connection() -> ClientConnection:
        offered = [Subprotocol(name) for name in subprotocols] or None
        protocol = ClientProtocol(uri, subprotocols=offered, max_size=largest)
        return ClientConnection(protocol, ping_interval=None, close_timeout=CLOSE_TIMEOUT, max_queue=MAX_QUEUE)

    try:
        open_stream = connect or asyncio.get_running_loop().create_connection
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, app = await open_stream(connection, host, port)
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
    """Close a websocket; waits at most `CLOSE_TIMEOUT` seconds for the app's part.

    Args:
        app: The websocket.
        code: Of the close frame; None for an empty frame.
        reason: Of the close frame.
    """
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await app.close(cast(Any, code), reason)
    except (TimeoutError, WebSocketException):
        pass  # the app does not answer the close frame
    finally:
        app.transport.abort()


def _problem(error: Exception) -> Exception:
    """Convert the error of a failed handshake."""
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
