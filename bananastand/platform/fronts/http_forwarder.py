"""Sends a request to the active front, and its response back, both as they arrive."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlsplit

import httpcore2

from ..http.forwarded import HEADER, Forwarded
from ..http.headers import HOP_BY_HOP, raw_path
from .authority import SERVER_NAME
from .caller_response import CallerResponse
from .replayable_body import ReplayableBody

__all__ = ["NOT_ACTIVE", "HttpForwarder", "Interrupted", "NotDelivered", "passed_headers"]

NOT_ACTIVE = b"x-bananastand-not-active"  # in a response that says only that the front is not active: see the values
NOTHING_DONE, RELEASED = b"nothing-done", b"released"
CONNECT_SECONDS = 2.0
IDLE_SECONDS = 20.0  # that a connection stays open without a request
DROPPED = {name.encode() for name in HOP_BY_HOP} | {HEADER, b"expect"}
OF_THE_SERVER = {b"date", b"server", NOT_ACTIVE}  # of a response: the caller's connection has its own


class NotDelivered(Exception):
    """The request has reached no active front: nothing was done."""


class Interrupted(Exception):
    """The active front is gone, and may have done what was requested."""


class HttpForwarder:
    """Forwards HTTP requests.

    Args:
        context: TLS of a front that calls.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context, max_connections=None, max_keepalive_connections=64, keepalive_expiry=IDLE_SECONDS
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def forward(
        self, url: str, scope: Any, forwarded: Forwarded, body: ReplayableBody, response: CallerResponse
    ) -> None:
        """Send a request to a front and its response to the caller.

        Args:
            url: The front's.
            scope: The request.
            forwarded: What to say of it.
            body: Its body.
            response: What the caller has got so far.

        Raises:
            NotDelivered, Interrupted: The response is not complete.
            BrokenOff: It cannot be completed.
            ClientDisconnected: The caller has left.
        """
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        headers = [*passed_headers(scope), (HEADER, forwarded.encode())]
        if has_body and not any(name == b"content-length" for name, _ in headers):
            headers.append((b"transfer-encoding", b"chunked"))
        query = scope["query_string"]
        extensions: dict[str, Any] = {
            "timeout": {"connect": CONNECT_SECONDS, "pool": CONNECT_SECONDS},
            "target": raw_path(scope) + (b"?" + query if query else b""),
            "sni_hostname": SERVER_NAME,
        }
        content = body.chunks() if has_body else None
        parts = urlsplit(url)
        origin = f"https://{parts.netloc}"
        try:
            async with self._pool.stream(
                scope["method"], origin, headers=headers, content=content, extensions=extensions
            ) as answer:
                await self._pass_back(answer, response)
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout) as error:
            raise NotDelivered(str(error)) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            raise Interrupted(str(error)) from error
        finally:
            if content is not None:
                await content.aclose()

    async def _pass_back(self, answer: httpcore2.Response, response: CallerResponse) -> None:
        headers = [(name.lower(), value) for name, value in answer.headers]
        if (done := dict(headers).get(NOT_ACTIVE)) is not None:
            raise NotDelivered if done == NOTHING_DONE else Interrupted
        left_out = OF_THE_SERVER | DROPPED
        await response.begin(answer.status, [(name, value) for name, value in headers if name not in left_out])
        async for chunk in answer.aiter_stream():
            await response.add(chunk)
        await response.end()


def passed_headers(scope: Any) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request that pass to the active front, the protocol that it asks for included."""
    headers = scope["headers"]
    listed = {part.strip().lower() for name, value in headers if name == b"connection" for part in value.split(b",")}
    passed = [(name, value) for name, value in headers if name not in DROPPED and name not in listed]
    upgrade = [(name, value) for name, value in headers if name == b"upgrade"]
    return [*passed, *upgrade, (b"connection", b"upgrade")] if upgrade else passed
