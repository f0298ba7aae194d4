"""The platform's end of the socket of frames to a worker: sends frames in order, and reads them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from bananastand.worker.frames import PREFIX, encode

from ..store.bodies import FileBody

__all__ = ["OpenStream", "WorkerConnection"]

log = logging.getLogger("bananastand.platform")

# Opens a stream to a worker for the protocol that is made by its argument.
OpenStream = Callable[[Callable[[], asyncio.Protocol]], Awaitable[object]]
MAX_HEADER = 64 * 2**20  # bytes of a frame's header: paths, headers, names of modules


class WorkerConnection(asyncio.Protocol):
    """A connection to one worker.

    Args:
        max_body: Bytes of a frame's body.
        on_frame: Called with the header and the body of each frame.
        on_end: Called once, when the connection has ended.

    Attributes:
        lost: Done when the connection has ended.
    """

    def __init__(
        self, max_body: int, on_frame: Callable[[dict[str, Any], bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._max_body, self._on_frame, self._on_end = max_body, on_frame, on_end
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._can_write = asyncio.Event()
        self._streaming: asyncio.Task[None] | None = None  # sends a body from its file
        self._queue: list[tuple[dict[str, Any], bytes | FileBody]] = []  # frames that wait for `_streaming`
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self._transport is not None and not self._transport.is_closing() and not self.lost.done()

    async def attach(self, connection: Any) -> None:
        """Use a connected stream socket, whose other end the worker has."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=connection)

    async def connect(self, open_stream: OpenStream) -> None:
        """Use the stream that `open_stream` opens. Raises OSError."""
        await open_stream(lambda: self)

    async def close(self) -> None:
        """Close the connection."""
        if self._streaming is not None:
            self._streaming.cancel()
            await asyncio.wait({self._streaming})
        if self._transport is not None:
            self._transport.abort()
            await asyncio.wait({self.lost})

    def send(self, header: dict[str, Any], body: bytes | FileBody = b"") -> None:
        """Send a frame after those before it; a body in a file is sent in pieces. Dropped on a closed connection."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._streaming is not None:  # a frame may not be inside of another
            self._queue.append((header, body))
        elif isinstance(body, bytes):
            self._transport.write(encode(header, body))
        else:
            self._streaming = asyncio.create_task(self._send_pieces(self._transport, header, body))

    async def _send_pieces(self, transport: asyncio.Transport, header: dict[str, Any], body: FileBody) -> None:
        head = json.dumps(header, separators=(",", ":")).encode()
        transport.write(PREFIX.pack(len(head), len(body)) + head)
        sent = 0
        try:
            async for piece in body.chunks():
                if self.lost.done():
                    break
                transport.write(piece)
                sent += len(piece)
                await self._can_write.wait()
        except OSError:
            pass
        self._streaming = None
        if sent != len(body):
            transport.close()  # the worker would take what follows for the rest of the body
        waiting, self._queue = self._queue, []
        for next_header, next_body in waiting:
            self.send(next_header, next_body)

    # The transport's events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to send and receive."""
        self._transport = cast(asyncio.Transport, transport)
        self._can_write.set()

    def data_received(self, data: bytes) -> None:
        """Handle the frames that are complete; an invalid one ends the connection."""
        self._received += data
        try:
            while (frame := self._next_frame()) is not None:
                self._on_frame(*frame)
        except Exception as error:
            log.warning("worker sent an invalid frame: %s: %s", type(error).__name__, error)
            assert self._transport is not None
            self._transport.abort()

    def pause_writing(self) -> None:
        """Wait with further pieces of a body."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """Send further pieces of a body."""
        self._can_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end."""
        self._received.clear()
        self._can_write.set()
        self.lost.set_result(None)
        self._on_end()

    def _next_frame(self) -> tuple[dict[str, Any], bytes] | None:
        """Remove the next frame from what was received, and return it if it is complete."""
        received = self._received
        if len(received) < PREFIX.size:
            return None
        header_size, body_size = PREFIX.unpack_from(received)
        if header_size > MAX_HEADER or body_size > self._max_body + MAX_HEADER:
            raise ValueError(f"its sizes are {header_size} and {body_size} bytes")
        body_start = PREFIX.size + header_size
        end = body_start + body_size
        if len(received) < end:
            return None
        header: dict[str, Any] = json.loads(received[PREFIX.size : body_start])
        with memoryview(received) as view:
            body = bytes(view[body_start:end])
        del received[:end]
        return header, body
