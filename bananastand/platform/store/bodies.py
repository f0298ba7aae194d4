"""Bodies of requests on their way to a call: small ones in memory, the others in a file from their first bytes on.

A file belongs to its request until a call takes it over, or until it is discarded.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import IO

from ..errors import Refused, TooBusy
from .blobs import SMALL, Blobs, cannot_write

__all__ = ["BodyReceiver", "FileBody", "TooLarge"]

PIECE = 256 * 2**10  # bytes that are written, read and sent at once
AGAIN = 5  # seconds after which a caller that was refused may come again


class TooLarge(Refused):
    """The body is longer than is taken."""

    code, status = "too_large", 413


class FileBody:
    """A body in a file.

    Attributes:
        path: Of the file.
        digest: SHA-256 of the content in hexadecimal digits; empty where it is not known.
    """

    __slots__ = ("_size", "digest", "path")

    def __init__(self, path: Path, size: int, digest: str = "") -> None:
        self.path, self._size, self.digest = path, size, digest

    def __len__(self) -> int:
        return self._size

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The content. Raises OSError."""
        file = await asyncio.to_thread(open, self.path, "rb")
        try:
            while piece := await asyncio.to_thread(file.read, PIECE):
                yield piece
        finally:
            file.close()

    def discard(self) -> None:
        """Remove the file, unless a call has taken it over."""
        self.path.unlink(missing_ok=True)


class BodyReceiver:
    """Receives bodies into the folder of the blobs.

    Args:
        blobs: Whose folder it is.
        most_unfinished: Bytes of all bodies that are being received.
    """

    def __init__(self, blobs: Blobs, most_unfinished: int) -> None:
        self._blobs, self._most_unfinished = blobs, most_unfinished
        self.unfinished = 0

    async def receive(self, stream: AsyncIterator[bytes], most: int) -> bytes | FileBody:
        """The whole body.

        Args:
            stream: Its pieces as they come.
            most: Its largest size in bytes.

        Raises:
            TooLarge: It is longer.
            TooBusy: Too much is being received.
            StoreError: It cannot be written.
        """
        buffer = bytearray()
        async for piece in stream:
            buffer += piece
            if len(buffer) > SMALL:
                break
        else:
            return bytes(buffer)
        path = self._blobs.unfinished(uuid.uuid4().hex)
        try:
            return await self._receive_file(path, buffer, stream, most)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise cannot_write(path, error) from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    async def _receive_file(self, path: Path, buffer: bytearray, stream: AsyncIterator[bytes], most: int) -> FileBody:
        size, counted, digest = len(buffer), 0, hashlib.sha256()
        file = open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
        try:
            counted = self._count(0, size, most)
            async for piece in stream:
                buffer += piece
                size += len(piece)
                counted = self._count(counted, size, most)
                if len(buffer) >= PIECE:
                    await asyncio.to_thread(_write, file, digest.update, buffer)
                    buffer = bytearray()
            await asyncio.to_thread(_write, file, digest.update, buffer)
            return FileBody(path, size, digest.hexdigest())
        finally:
            self.unfinished -= counted
            file.close()

    def _count(self, counted: int, size: int, most: int) -> int:
        if size > most:
            raise TooLarge(f"the body is longer than {most} bytes")
        self.unfinished += size - counted
        if self.unfinished > self._most_unfinished:
            self.unfinished -= size - counted
            raise TooBusy("too much is being uploaded: try again in a moment", AGAIN)
        return size


def _write(file: IO[bytes], update: Callable[[bytearray], None], content: bytearray) -> None:
    file.write(content)
    update(content)
