"""Lets httpcore use connections that a node opens, such as those over a relay."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import httpcore2

from ..nodes import Connect

__all__ = ["ConnectedBackend"]

MAX_UNREAD = 256 * 2**10  # bytes that are received ahead of the reader


class ConnectedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections by a node's `connect`."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Open a connection. Raises ConnectError, ConnectTimeout."""
        try:
            async with asyncio.timeout(timeout):
                _, stream = await self._connect(_Stream, host, port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        return stream

    async def sleep(self, seconds: float) -> None:
        """Wait between two tries."""
        await asyncio.sleep(seconds)


class _Stream(asyncio.Protocol, httpcore2.AsyncNetworkStream):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._is_over = self._is_paused = False
        self._error: Exception | None = None
        self._news, self._can_write = asyncio.Event(), asyncio.Event()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what has come; b"" at the end. Raises ReadTimeout, ReadError."""
        try:
            async with asyncio.timeout(timeout):
                while not self._received and not self._is_over:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            raise httpcore2.ReadTimeout from error
        if not self._received and self._error is not None:
            raise httpcore2.ReadError(str(self._error)) from self._error
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if self._is_paused and len(self._received) < MAX_UNREAD and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, and wait while the other side does not read. Raises WriteTimeout, WriteError."""
        if self._transport is None or self._is_over or self._transport.is_closing():
            raise httpcore2.WriteError(str(self._error or "the connection is closed"))
        self._transport.write(buffer)
        try:
            async with asyncio.timeout(timeout):
                await self._can_write.wait()
        except TimeoutError as error:
            raise httpcore2.WriteTimeout from error

    async def aclose(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks for: whether an idle connection has data or has ended."""
        if info == "is_readable":
            return bool(self._received) or self._is_over
        return None

    # The transport's events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to send and receive."""
        self._transport = cast(asyncio.Transport, transport)
        self._can_write.set()

    def data_received(self, data: bytes) -> None:
        """Hold data for the reader."""
        self._received += data
        self._news.set()
        if len(self._received) > MAX_UNREAD and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool | None:
        """Note the end of the response; the transport closes."""
        self._is_over = True
        self._news.set()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the connection."""
        self._is_over, self._error = True, exc
        self._news.set()
        self._can_write.set()

    def pause_writing(self) -> None:
        """Wait with further data."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """Send further data."""
        self._can_write.set()
