"""The only door of a node: a TLS port that leads fronts to the replicas there, which listen on loopback.

A front proves who it is by its certificate, sends one line of JSON that names a replica and what it wants of it,
{"replica": ID, "worker": true} or {"replica": ID, "host": HOST, "port": PORT}, and gets {} or {"error": TEXT}. From
then on bytes flow both ways, at the speed of the slower end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, cast

from .gate import Gate

__all__ = ["FIRST_PORT", "Authorize", "OpenStream", "Relay"]

log = logging.getLogger("bananastand.cluster")

FIRST_PORT, PORTS = 8753, 32  # the relay takes the first free port of these
MAX_LINE = 1024  # bytes of a front's first line
PATIENCE = 10.0  # seconds for the TLS handshake, and as many for the first line
HIGH_WATER = 256 * 2**10  # bytes that wait for a slow end before the fast one is not read from

OpenStream = Callable[[dict[str, Any], Callable[[], "_Half"]], Awaitable[None]]
Authorize = Callable[[ssl.SSLObject], object]


class Relay:
    """The relay of one node.

    Args:
        host: The address of the node that fronts reach.
        context: For TLS; None for none, which only an address on loopback may have.
        authorize: Called with each TLS connection; raises if its certificate is not that of a front.
        open_stream: Connects the protocol of a factory to what a first line names. Raises OSError, whose text the
            front gets.
    """

    def __init__(
        self, host: str, context: ssl.SSLContext | None, authorize: Authorize, open_stream: OpenStream
    ) -> None:
        if context is None and not host.startswith("127."):
            raise ValueError(f"a relay on {host} needs certificates")
        self._host, self._context, self._authorize, self._open_stream = host, context, authorize, open_stream
        self._gate = Gate(self._make_incoming, context, PATIENCE)
        self._connections = set[_Incoming]()

    async def open(self) -> int:
        """Begin to listen; returns the port. Raises OSError."""
        for port in (*range(FIRST_PORT, FIRST_PORT + PORTS), 0):
            try:
                return self._gate.open(self._host, port)
            except OSError:
                if port == 0:
                    raise
        raise AssertionError("the last port is any free one")

    def close(self) -> None:
        """End all connections, and take no more."""
        self._gate.close()
        for connection in self._connections:
            if connection.transport is not None:
                connection.transport.abort()

    def _make_incoming(self, on_settled: Callable[[], None]) -> _Incoming:
        authorize = self._authorize if self._context is not None else None
        return _Incoming(authorize, self._open_stream, self._connections, on_settled)


class _Half(asyncio.Protocol):
    """One end of two connections that pass on each other's bytes."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Half | None = None
        self._early = list[bytes]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to pass on bytes."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(HIGH_WATER)

    def join(self, other: _Half) -> None:
        """Pass on this end's bytes to another, and its bytes to this one."""
        self.other, other.other = other, self
        for half in (self, other):
            early, half._early = half._early, []
            for data in early:
                half.data_received(data)
            if half.transport is None or half.transport.is_closing():
                half.connection_lost(None)

    def data_received(self, data: bytes) -> None:
        """Pass on bytes."""
        if self.other is None:
            self._early.append(data)
        elif self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """Pass on the end of this direction where the other end has one; TLS has none, and is closed."""
        other = self.other.transport if self.other is not None else None
        if other is None or not other.can_write_eof():
            return False
        other.write_eof()
        return self.transport is not None and self.transport.can_write_eof()

    def pause_writing(self) -> None:
        """Read no more from the other end for now."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read from the other end again."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other end, once it has what is on its way."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close() if exc is None else self.other.transport.abort()


class _Incoming(_Half):
    """A front's connection: its first line, then a half of the pair."""

    def __init__(
        self,
        authorize: Authorize | None,
        open_stream: OpenStream,
        connections: set[_Incoming],
        on_settled: Callable[[], None],
    ) -> None:
        super().__init__()
        self._authorize, self._open_stream, self._connections = authorize, open_stream, connections
        self._on_settled = on_settled
        self._line: bytearray | None = bytearray()
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Check who calls, and wait for the first line."""
        super().connection_made(transport)
        self._connections.add(self)
        assert self.transport is not None
        if self._authorize is not None:
            try:
                self._authorize(transport.get_extra_info("ssl_object"))
            except Exception as error:
                log.warning("relay: refused a connection of %s: %s", transport.get_extra_info("peername"), error)
                self.transport.abort()
                return
        self._on_settled()
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take the first line, then pass on bytes."""
        if self._line is None:
            super().data_received(data)
            return
        self._line += data
        first, end, rest = bytes(self._line).partition(b"\n")
        if len(first) > MAX_LINE:
            self._refuse("the first line is too long")
            return
        if not end:
            return
        self._line = None
        if rest:
            self._early.append(rest)
        self._opening = asyncio.create_task(self._open(first))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was being opened."""
        self._connections.discard(self)
        self._on_settled()
        if self._timer is not None:
            self._timer.cancel()
        if self._opening is not None and self.other is None:
            self._opening.cancel()
        super().connection_lost(exc)

    async def _open(self, line: bytes) -> None:
        assert self.transport is not None
        inner = _Half()
        try:
            target: dict[str, Any] = json.loads(line)
            await self._open_stream(target, lambda: inner)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            self._refuse(getattr(error, "strerror", None) or str(error) or type(error).__name__)
            return
        except asyncio.CancelledError:
            if inner.transport is not None:
                inner.transport.abort()
            raise
        finally:
            if self._timer is not None:
                self._timer.cancel()
        self.transport.write(b"{}\n")
        self.join(inner)

    def _refuse(self, reason: str) -> None:
        assert self.transport is not None
        self._line = None
        self.transport.write(json.dumps({"error": reason}).encode() + b"\n")
        self.transport.close()
