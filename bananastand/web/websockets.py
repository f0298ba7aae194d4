"""Refuses a websocket with a status and a text, where the server can, before it is open."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["refuse_websocket"]

POLICY = 1008  # of a websocket: policy violation
EXTENSION = "websocket.http.response"


async def refuse_websocket(scope: Any, receive: Any, send: Any, message: str, *, status: int = 403) -> None:
    """Answer the handshake; a server without that extension closes it with 403.

    Args:
        scope, receive, send: Of ASGI, of a websocket.
        message: What happened and what to do next.
        status: Of HTTP.
    """
    await receive()
    if EXTENSION not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": POLICY, "reason": message[:100]})
        return
    body = json.dumps({"error": {"code": "no_websockets", "message": message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
