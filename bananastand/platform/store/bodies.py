"""Receives the bodies of calls: small ones into memory, larger ones into a file from the first byte on.

A file belongs to its request until a call adopts it, or until it is discarded.
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
from .blobs import SMALL, Blobs, cannot_write, file_chunks

__all__ = ["BodyReceiver", "FileBody", "TooLarge"]

CHUNK = 256 * 2**10  # bytes that are written, read and sent at once
RETRY_AFTER = 5  # seconds after which a caller that was refused may try again


class TooLarge(Refused):
    """The body is longer than its limit."""

    code, status = "too_large", 413


class FileBody:
    """A body in a file; its length is its size in bytes.

    Attributes:
        path: The file.
        digest: SHA-256 of the content in hexadecimal digits; empty where it is not known.
    """

    __slots__ = ("_size", "digest", "path")

    def __init__(self, path: Path, size: int, digest: str = "") -> None:
        self.path, self._size, self.digest = path, size, digest

    def __len__(self) -> int:
        return self._size

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the content. Raises OSError."""
        async for chunk in file_chunks(self.path, CHUNK):
            yield chunk

    def discard(self) -> None:
        """Delete the file, unless a call has adopted it."""
        self.path.unlink(missing_ok=True)


class BodyReceiver:
    """Receives bodies into the folder of the blobs.

    Args:
        blobs: The blobs.
        max_unfinished: Bytes of all bodies that may be received at once.

    Attributes:
        unfinished: Bytes of all bodies that are being received.
    """

    def __init__(self, blobs: Blobs, max_unfinished: int) -> None:
        self._blobs, self._max_unfinished = blobs, max_unfinished
        self.unfinished = 0

    async def receive(self, stream: AsyncIterator[bytes], limit: int) -> bytes | FileBody:
        """Receive a whole body.

        Args:
            stream: Its chunks as they arrive.
            limit: Its largest allowed size in bytes.

        Returns:
            The body: bytes if it is at most SMALL, else a file.

        Raises:
            TooLarge: It is longer than the limit.
            TooBusy: Too much is being received.
            StoreError: It cannot be written.
        """
        buffer = bytearray()
        async for chunk in stream:
            buffer += chunk
            if len(buffer) > SMALL:
                break
        else:
            return bytes(buffer)
        path = self._blobs.unfinished(uuid.uuid4().hex)
        try:
            return await self._receive_file(path, buffer, stream, limit)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise cannot_write(path, error) from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    async def _receive_file(self, path: Path, buffer: bytearray, stream: AsyncIterator[bytes], limit: int) -> FileBody:
        size, counted, digest = len(buffer), 0, hashlib.sha256()
        file = open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
        try:
            counted = self._count(0, size, limit)
            async for chunk in stream:
                buffer += chunk
                size += len(chunk)
                counted = self._count(counted, size, limit)
                if len(buffer) >= CHUNK:
                    await asyncio.to_thread(_write, file, digest.update, buffer)
                    buffer = bytearray()
            await asyncio.to_thread(_write, file, digest.update, buffer)
            return FileBody(path, size, digest.hexdigest())
        finally:
            self.unfinished -= counted
            file.close()

    def _count(self, counted: int, size: int, limit: int) -> int:
        if size > limit:
            raise TooLarge(f"the body is longer than {limit} bytes")
        self.unfinished += size - counted
        if self.unfinished > self._max_unfinished:
            self.unfinished -= size - counted
            raise TooBusy("too much is being uploaded: try again in a moment", RETRY_AFTER)
        return size


def _write(file: IO[bytes], update: Callable[[bytearray], None], content: bytearray) -> None:
    file.write(content)
    update(content)
