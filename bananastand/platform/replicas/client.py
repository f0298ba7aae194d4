"""What a replica is asked and what it answers, whichever way it is reached. Sends nothing itself."""

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
    "OnChunk",
    "OnHead",
    "ReplicaResponse",
    "ReplicaBusy",
    "ReplicaClient",
    "ReplicaRequest",
    "RequestNotDelivered",
    "RequestNotSendable",
]

Headers = tuple[tuple[str, str], ...]  # names in lower case, in the order they came, repeated names kept
OnHead = Callable[[int, Headers], None]
OnChunk = Callable[[bytes], Awaitable[None]]


class RequestNotDelivered(Exception):
    """No handler has seen the request: the replica took no connection."""


class RequestNotSendable(Exception):
    """No handler has seen the request: HTTP has no form for it."""


class ReplicaBusy(Exception):
    """No handler has seen the request: the replica said so itself, and may be asked again."""


class ConnectionLost(Exception):
    """The connection broke before the answer was whole; a handler may have run."""


class ResponseMalformed(Exception):
    """The app answered, and the head of its answer is not HTTP."""


class ResponseTimeout(Exception):
    """The answer did not come in time."""


class ResponseTooLarge(Exception):
    """The answer is larger than what is kept."""


@dataclass(frozen=True, slots=True)
class ReplicaRequest:
    """One HTTP request for the app.

    path: with its query, as the caller sent it, percent-encoded. headers: those of the caller that the app may see,
    without hop-by-hop ones, Host, Content-Length and keys of the platform.
    """

    method: str
    path: str
    headers: Headers
    body: bytes | FileBody


@dataclass(frozen=True, slots=True)
class ReplicaResponse:
    """What the app answered. headers: without hop-by-hop ones and Content-Length."""

    status: int
    headers: Headers
    body: bytes

    @property
    def content_type(self) -> str:
        """Its Content-Type; empty if it named none."""
        return next((value for name, value in self.headers if name == "content-type"), "")

    def json(self) -> Any:
        """The body's JSON, or None if it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class ReplicaClient(Protocol):
    """Asks one replica."""

    async def send(
        self,
        request: ReplicaRequest,
        timeout: float,
        *,
        on_head: OnHead | None = None,
        on_chunk: OnChunk | None = None,
    ) -> ReplicaResponse:
        """Send a request and return the whole answer; report its head and each piece of the body as they arrive.

        Cancelling the task tells the handler to stop.

        Args:
            request: What to send.
            timeout: Seconds until the answer must be whole.
            on_head: Called with status and headers, before the first piece.
            on_chunk: Awaited with each piece of the body.

        Raises:
            RequestNotDelivered, RequestNotSendable, ReplicaBusy: No handler has seen it.
            ConnectionLost, ResponseMalformed, ResponseTimeout, ResponseTooLarge: One may have.
        """
        ...
