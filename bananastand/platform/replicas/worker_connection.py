"""The platform's end of the socket of frames to a worker: sends frames in order, and reads them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any

from bananastand.worker.frames import PREFIX, encode

from ..store.bodies import FileBody

__all__ = ["WorkerConnection"]

log = logging.getLogger("bananastand.platform")

MAX_HEADER = 64 * 2**20  # bytes of a frame's header: paths, headers, names of modules


class WorkerConnection:
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
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._streaming: asyncio.Task[None] | None = None  # sends a body from its file
        self._queue: list[tuple[dict[str, Any], bytes | FileBody]] = []  # frames that wait for `_streaming`
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self._writer is not None and not self._writer.is_closing() and not self.lost.done()

    async def attach(self, connection: Any) -> None:
        """Use a connected stream socket, whose other end the worker has."""
        reader, self._writer = await asyncio.open_unix_connection(sock=connection)
        self._reading = asyncio.create_task(self._read(reader), name="worker frames")

    async def close(self) -> None:
        """Close the connection."""
        for task in (self._streaming, self._reading):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    def send(self, header: dict[str, Any], body: bytes | FileBody = b"") -> None:
        """Send a frame after those before it; a body in a file is sent in pieces. Dropped on a closed connection."""
        if self._writer is None or self._writer.is_closing():
            return
        if self._streaming is not None:  # a frame may not be inside of another
            self._queue.append((header, body))
        elif isinstance(body, bytes):
            self._writer.write(encode(header, body))
        else:
            self._streaming = asyncio.create_task(self._send_pieces(self._writer, header, body))

    async def _send_pieces(self, writer: asyncio.StreamWriter, header: dict[str, Any], body: FileBody) -> None:
        head = json.dumps(header, separators=(",", ":")).encode()
        writer.write(PREFIX.pack(len(head), len(body)) + head)
        sent = 0
        try:
            async for piece in body.chunks():
                writer.write(piece)
                sent += len(piece)
                await writer.drain()
        except OSError:
            pass
        self._streaming = None
        if sent != len(body):
            writer.close()  # the worker would take what follows for the rest of the body
        waiting, self._queue = self._queue, []
        for next_header, next_body in waiting:
            self.send(next_header, next_body)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                header_size, body_size = PREFIX.unpack(await reader.readexactly(PREFIX.size))
                if header_size > MAX_HEADER or body_size > self._max_body + MAX_HEADER:
                    return
                header: dict[str, Any] = json.loads(await reader.readexactly(header_size))
                self._on_frame(header, await reader.readexactly(body_size) if body_size else b"")
        except (asyncio.IncompleteReadError, OSError):
            pass
        except Exception as error:
            log.warning("worker sent an invalid frame: %s: %s", type(error).__name__, error)
        finally:
            if not self.lost.done():
                self.lost.set_result(None)
            self._on_end()
