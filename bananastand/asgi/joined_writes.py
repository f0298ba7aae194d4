"""Writes the head of a response and the first piece of its body with one system call, and in one packet."""

from __future__ import annotations

import asyncio

__all__ = ["JoinedWrites"]


class JoinedWrites:
    """The part of a transport that uvicorn's responses use.

    What is written waits for the next write, at most until the event loop's next round.

    Args:
        transport: Where the bytes go.
        loop: Of the transport.
    """

    __slots__ = ("_head", "_loop", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write after what waits, or wait for more."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self.flush)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Write what waits."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        """Close the transport once everything is sent."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Break the connection off; what waits is lost."""
        self._head = b""
        self._transport.abort()
