"""Sends short responses over ASGI: JSON errors, and refused websocket handshakes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

__all__ = ["JSON_TYPE", "error_body", "refuse_websocket", "send_error", "send_json", "send_response"]

JSON_TYPE = b"application/json"
POLICY_VIOLATION = 1008  # close code (RFC 6455, 7.4.1)
EXTENSION = "websocket.http.response"

Headers = Iterable[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def error_body(code: str, message: str) -> dict[str, Any]:
    """Return the JSON of an error as our own APIs write it: {"error": {"code", "message"}}."""
    return {"error": {"code": code, "message": message}}


async def send_response(
    send: Send, status: int, body: bytes, content_type: bytes = JSON_TYPE, headers: Headers = ()
) -> None:
    """Send a whole response.

    Args:
        send: ASGI's, of an HTTP request.
        status: The HTTP status.
        body: The response's body, whose length is sent with it.
        content_type: The type of the body.
        headers: Further headers.
    """
    length = (b"content-length", b"%d" % len(body))
    start = {"status": status, "headers": [(b"content-type", content_type), length, *headers]}
    await send({"type": "http.response.start", **start})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, status: int, value: Any, headers: Headers = ()) -> None:
    """Send a value as JSON; see `send_response`."""
    await send_response(send, status, json.dumps(value).encode(), JSON_TYPE, headers)


async def send_error(send: Send, status: int, code: str, message: str) -> None:
    """Send an error in the form of `error_body`."""
    await send_json(send, status, error_body(code, message))


async def refuse_websocket(
    scope: Any, receive: Receive, send: Send, message: str, *, status: int = 403, code: str = "no_websockets"
) -> None:
    """Answer a websocket handshake with an HTTP error; a server without that extension closes it with 403.

    Args:
        scope: ASGI's, of a websocket.
        receive: ASGI's.
        send: ASGI's.
        message: What happened, and what to do next.
        status: The HTTP status.
        code: The error's code.
    """
    await receive()
    if EXTENSION not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": message[:100]})
        return
    body = json.dumps(error_body(code, message)).encode()
    headers = [(b"content-type", JSON_TYPE), (b"content-length", b"%d" % len(body))]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
