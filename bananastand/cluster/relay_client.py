"""A front's side of the relay: opens byte streams to replicas on nodes, as if they were on this machine."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

__all__ = ["Door"]

P = TypeVar("P", bound=asyncio.BaseProtocol)
PATIENCE = 5.0  # seconds for connection, TLS handshake and the relay's answer
MAX_LINE = 4096  # bytes of the relay's answer


@dataclass(frozen=True, slots=True)
class Door:
    """The relay of a node, as a front sees it.

    Attributes:
        host: The node's address.
        port: The port of the relay.
        name: The name in the node's certificate.
        context: For TLS; None for none.
    """

    host: str
    port: int
    name: str
    context: ssl.SSLContext | None

    async def connect(self, factory: Callable[[], P], target: dict[str, Any]) -> tuple[asyncio.Transport, P]:
        """Open a stream to what `target` names, as `loop.create_connection` does for an address.

        Args:
            factory: Makes the protocol that gets the stream.
            target: The relay's first line, see `relay`.

        Raises:
            OSError: The relay cannot be reached, its certificate is not that node's, or it has no such stream.
        """
        loop = asyncio.get_running_loop()
        name = self.name if self.context is not None else None
        try:
            async with asyncio.timeout(PATIENCE):
                transport, opening = await loop.create_connection(
                    lambda: _Opening(target), self.host, self.port, ssl=self.context, server_hostname=name
                )
                try:
                    await opening.answered
                except BaseException:
                    transport.abort()
                    raise
        except TimeoutError:
            raise ConnectionError(f"the relay of {self.name} has not answered for {PATIENCE:g} s") from None
        return opening.hand_over(factory())


class _Opening(asyncio.Protocol):
    """The connection until the relay's answer."""

    def __init__(self, target: dict[str, Any]) -> None:
        self._target = target
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answered.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever waits for it
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(json.dumps(self._target, separators=(",", ":")).encode() + b"\n")

    def data_received(self, data: bytes) -> None:
        self._received += data
        line, end, rest = bytes(self._received).partition(b"\n")
        if self.answered.done() or (not end and len(line) <= MAX_LINE):
            return
        assert self._transport is not None
        try:
            error = json.loads(line).get("error")
        except (ValueError, AttributeError):
            error = "the relay's answer is malformed"
        if error is not None:
            self.answered.set_exception(ConnectionRefusedError(error))
            return
        self._received = bytearray(rest)
        self._transport.pause_reading()  # what follows belongs to the next protocol
        self.answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if not self.answered.done():
            self.answered.set_exception(ConnectionError(str(exc) if exc else "the relay closed the connection"))

    def hand_over(self, protocol: P) -> tuple[asyncio.Transport, P]:
        """Give the stream to another protocol, with what has arrived already."""
        transport = self._transport
        assert transport is not None
        if self._is_lost:
            raise ConnectionError("the relay closed the connection")
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._received and isinstance(protocol, asyncio.Protocol):
            protocol.data_received(bytes(self._received))
        if not transport.is_closing():
            transport.resume_reading()
        return transport, protocol
