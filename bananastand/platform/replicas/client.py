"""Requests to a replica, its responses, and the errors between them, for every way of reaching it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ..store.bodies import FileBody

__all__ = [
    "ResponseMalformed",
    "ResponseTooLarge",
    "ResponseTimeout",
    "ConnectionLost",
    "Headers",
    "NoRoomForResponse",
    "OnChunk",
    "OnHead",
    "ReplicaResponse",
    "ReplicaBusy",
    "ReplicaClient",
    "ReplicaRequest",
    "RequestNotDelivered",
    "RequestNotSendable",
]

Headers = tuple[tuple[str, str], ...]  # names in lower case, in their order, repeated names included
OnHead = Callable[[int, Headers], None]
OnChunk = Callable[[bytes], Awaitable[None]]


class RequestNotDelivered(Exception):
    """No handler has seen the request: the replica accepted no connection."""


class RequestNotSendable(Exception):
    """No handler has seen the request: it cannot be sent over HTTP."""


class ReplicaBusy(Exception):
    """No handler has seen the request: the replica said so, and the request may be sent again."""


class ConnectionLost(Exception):
    """The connection broke before the response was complete; a handler may have run."""


class ResponseMalformed(Exception):
    """The head of the app's response is not HTTP."""


class ResponseTimeout(Exception):
    """The response did not arrive in time."""


class ResponseTooLarge(Exception):
    """The response is larger than the limit."""


class NoRoomForResponse(ResponseTooLarge):
    """All responses that are held together are larger than their limit."""


@dataclass(frozen=True, slots=True)
class ReplicaRequest:
    """One HTTP request for the app.

    Attributes:
        method: In upper case.
        path: With its query, percent-encoded, as the caller sent it.
        headers: Without hop-by-hop headers, Host, Content-Length and keys of the platform.
        body: In memory or in a file.
    """

    method: str
    path: str
    headers: Headers
    body: bytes | FileBody


@dataclass(frozen=True, slots=True)
class ReplicaResponse:
    """The app's response.

    Attributes:
        status: The HTTP status.
        headers: Without hop-by-hop headers and Content-Length.
        body: The whole body.
    """

    status: int
    headers: Headers
    body: bytes

    @property
    def content_type(self) -> str:
        """The Content-Type; empty if the app sent none."""
        return next((value for name, value in self.headers if name == "content-type"), "")

    def json(self) -> Any:
        """Parse the body as JSON; returns None if it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class ReplicaClient(Protocol):
    """Sends requests to one replica."""

    async def send(
        self,
        request: ReplicaRequest,
        timeout: float,
        *,
        on_head: OnHead | None = None,
        on_chunk: OnChunk | None = None,
    ) -> ReplicaResponse:
        """Send a request and return the whole response; report its head and each chunk of the body as they arrive.

        Cancelling the task tells the handler to stop.

        Args:
            request: What to send.
            timeout: Seconds until the response must be complete.
            on_head: Called with status and headers, before the first chunk.
            on_chunk: Awaited with each chunk of the body; may raise ResponseTooLarge.

        Raises:
            RequestNotDelivered, RequestNotSendable, ReplicaBusy: No handler has seen it.
            ConnectionLost, ResponseMalformed, ResponseTimeout, ResponseTooLarge: One may have.
        """
        ...
