"""The body of a forwarded request: sent on as it arrives, and recorded so that it can be sent again."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

from bananastand.asgi.bodies import ClientDisconnected

__all__ = ["ReplayableBody"]

IN_MEMORY = 64 * 2**10  # bytes of a recording; a longer one lies in a file without a name
CHUNK = 256 * 2**10


class ReplayableBody:
    """A request's body.

    Args:
        receive: ASGI's.
        folder: For a recording that is too long for the memory.
        limit: Bytes that are recorded at most; 0 records nothing.
    """

    def __init__(self, receive: Callable[[], Awaitable[Any]], folder: Path, limit: int) -> None:
        self._receive, self._limit = receive, limit
        self._recording = tempfile.SpooledTemporaryFile[bytes](IN_MEMORY, dir=str(folder))
        self._size = 0
        self._is_complete = False

    @property
    def can_replay(self) -> bool:
        """Whether `chunks` yields the whole body once more."""
        return self._size <= self._limit

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the body, first what is recorded and then what arrives. Raises ClientDisconnected."""
        self._recording.seek(0)
        while chunk := self._recording.read(CHUNK):
            yield chunk
        while not self._is_complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            self._is_complete = not message.get("more_body", False)
            if chunk := message.get("body", b""):
                self._record(chunk)
                yield chunk

    def close(self) -> None:
        """Delete the recording."""
        self._recording.close()

    def _record(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self.can_replay:
            try:
                self._recording.write(chunk)
            except OSError:  # the disk is full: the body is sent once
                self._limit = -1
