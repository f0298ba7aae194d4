"""Files for bodies that are too large for a row of the database."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import StoreError, StoreFull
from .private_files import make_folder, open_private

__all__ = [
    "CHUNK",
    "NO_SPACE",
    "SMALL",
    "BlobState",
    "Blobs",
    "cannot_write",
    "file_chunks",
    "without_password",
    "write_chunks",
]

SMALL = 64 * 2**10  # bytes up to which a body is stored in a row
CHUNK = 2**20  # bytes that are read at once
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
PASSWORD = re.compile(r"(?<=://)\S*@")  # with the user's name; a secret key may have a slash


@dataclass(frozen=True, slots=True)
class BlobState:
    """What a listing says about a blob.

    Attributes:
        name: Its name.
        size: Bytes.
        age: Seconds since it was written; 0 where that is not known.
    """

    name: str
    size: int
    age: float


class Blobs:
    """A folder of files, which are written under another name and then renamed, so that none is ever incomplete.

    Args:
        folder: The folder, which is created.
        age: Seconds for which a file that nobody knows stays: where several platforms share the folder, one of them may
            be about to use it.

    Attributes:
        is_shared: Whether other machines have the blobs too.
    """

    def __init__(self, folder: Path, *, age: float = 0.0) -> None:
        self._folder, self._age, self.is_shared = folder, age, age > 0
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def put(self, name: str, content: bytes) -> None:
        """Write a file, durably. Raises StoreFull, StoreError."""
        await self._write_durably(name, lambda file: file.write(content))

    async def add(self, name: str, file: Path) -> None:
        """Write a blob with the content of a file, durably. Raises StoreFull, StoreError."""

        def copy(target: IO[bytes]) -> None:
            with open(file, "rb") as source:
                shutil.copyfileobj(source, target, CHUNK)

        await self._write_durably(name, copy)

    def unfinished(self, name: str) -> Path:
        """Return the path for a file that may become a blob; the next start deletes what is left there."""
        return self._folder / f".{name}.upload"

    def path(self, name: str) -> Path:
        """Return the path of a blob."""
        return self._folder / name

    async def adopt(self, name: str, file: Path) -> None:
        """Make a complete file a blob by renaming it. Raises StoreFull, StoreError."""
        try:
            await asyncio.to_thread(self._adopt, name, file)
        except OSError as error:
            raise cannot_write(self._folder / name, error) from error

    async def get(self, name: str) -> bytes:
        """Return the content of a blob. Raises StoreError."""
        try:
            return await asyncio.to_thread((self._folder / name).read_bytes)
        except OSError as error:
            raise StoreError(f"{self._folder / name} cannot be read: {error.strerror}") from error

    async def list(self) -> list[BlobState]:
        """Return all blobs. Raises StoreError."""
        return await asyncio.to_thread(self._list)

    async def local(self, name: str) -> Path:
        """Return a file of this machine with the content of a blob. Raises StoreError."""
        return self.path(name)

    async def chunks(self, name: str) -> AsyncGenerator[bytes]:
        """Yield the content of a blob. Raises StoreError."""
        try:
            async for chunk in file_chunks(self._folder / name, CHUNK):
                yield chunk
        except OSError as error:
            raise StoreError(f"{self._folder / name} cannot be read: {error.strerror}") from error

    async def size(self, name: str) -> int | None:
        """Return the size of a blob in bytes; None if there is none. Raises StoreError."""
        try:
            return (await asyncio.to_thread((self._folder / name).stat)).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self._folder / name} cannot be read: {error.strerror}") from error

    def size_here(self, name: str) -> int:
        """Return the size of a blob as far as this machine knows it: 0 for one that is not here."""
        try:
            return (self._folder / name).stat().st_size
        except OSError:
            return 0

    async def remove(self, name: str) -> None:
        """Delete a blob if it exists."""
        path = self._folder / name
        if path.exists():
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def remove_all(self, names: Iterable[str]) -> None:
        """Delete those blobs that exist."""
        await asyncio.to_thread(self._remove_all, list(names))

    def sweep(self, known: Callable[[str], bool]) -> None:
        """Delete the files whose name, without its suffix, is not known: a kill between file and row leaves them."""
        limit = time.time() - self._age
        for path in self._folder.iterdir():
            if not known(path.stem) and (not self._age or path.stat().st_mtime < limit):
                path.unlink(missing_ok=True)

    async def close(self) -> None:
        """Finish what goes on in the background."""

    def _adopt(self, name: str, file: Path) -> None:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        file.replace(self._folder / name)
        self._sync_folder()

    def _sync_folder(self) -> None:
        """Make the names of new files durable."""
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _remove_all(self, names: Sequence[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def _list(self) -> list[BlobState]:
        now, found = time.time(), list[BlobState]()
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                about = path.stat()
                if not path.name.startswith("."):
                    found.append(BlobState(path.name, about.st_size, max(0.0, now - about.st_mtime)))
        return found

    async def _write_durably(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        try:
            await asyncio.to_thread(self._write, name, fill)
        except OSError as error:
            raise cannot_write(self._folder / name, error) from error

    def _write(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        temporary = self._folder / f".{name}.new"
        try:
            with open(temporary, "wb", opener=open_private) as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / name)
            self._sync_folder()
        finally:
            temporary.unlink(missing_ok=True)


async def file_chunks(path: Path, size: int) -> AsyncGenerator[bytes]:
    """Yield the content of a file in chunks of `size` bytes. Raises OSError."""
    file = await asyncio.to_thread(open, path, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, size):
            yield chunk
    finally:
        file.close()


async def write_chunks(chunks: AsyncIterable[bytes], path: Path) -> str:
    """Write chunks to a new file, which is complete or does not appear.

    Args:
        chunks: The content.
        path: The file, in a folder that may be missing.

    Returns:
        SHA-256 of the content in hexadecimal digits.

    Raises:
        StoreFull, StoreError: There is no file.
    """
    new, digest = path.with_name(f".{uuid.uuid4().hex}.part"), hashlib.sha256()
    try:
        with open(make_folder(new.parent) / new.name, "xb", opener=open_private) as file:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
                digest.update(chunk)
        new.replace(path)
        return digest.hexdigest()
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        new.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> StoreError:
    """Return the error to raise where a file of the data directory cannot be written."""
    if error.errno in NO_SPACE:
        return StoreFull("the disk is full: free some space, nothing new is taken until then")
    return StoreError(f"{path} cannot be written: {error.strerror}")


def without_password(text: str) -> str:
    """Return a message without what stands before the host in its URLs."""
    return PASSWORD.sub("", text)
