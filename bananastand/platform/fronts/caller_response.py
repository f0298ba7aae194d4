"""What the caller of a forwarded request has got of its response, so that a later try continues behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ..http.headers import CALL_ID

__all__ = ["BrokenOff", "CallerResponse"]

RawHeaders = Sequence[tuple[bytes, bytes]]


class BrokenOff(ConnectionError):
    """The response has broken off, and cannot be continued."""


class CallerResponse:
    """The response to one request.

    Args:
        send: ASGI's.

    Attributes:
        is_complete: Whether all of it was sent.
    """

    def __init__(self, send: Callable[[Any], Awaitable[None]]) -> None:
        self._send = send
        self._head: tuple[int, Any, Any] | None = None
        self._sent = self._skip = 0
        self.is_complete = False

    @property
    def has_begun(self) -> bool:
        """Whether the caller has its status."""
        return self._head is not None

    @property
    def can_continue(self) -> bool:
        """Whether another try may give the rest: nothing was sent, or a part of a recorded answer with a length."""
        return not self.is_complete and (self._head is None or None not in self._head)

    async def begin(self, status: int, headers: RawHeaders) -> None:
        """Send status and headers, once. Raises BrokenOff where they are of another response than before."""
        named = dict(headers)
        head = (status, named.get(CALL_ID.encode()), named.get(b"content-length"))
        if self._head is None:
            self._head = head
            await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})
        elif head != self._head:
            raise BrokenOff
        self._skip = self._sent

    async def add(self, chunk: bytes) -> None:
        """Send a piece of the body, without what was sent before."""
        skipped = min(self._skip, len(chunk))
        self._skip -= skipped
        if rest := chunk[skipped:]:
            self._sent += len(rest)
            await self._send({"type": "http.response.body", "body": rest, "more_body": True})

    async def end(self) -> None:
        """End the response."""
        self.is_complete = True
        await self._send({"type": "http.response.body", "body": b""})
