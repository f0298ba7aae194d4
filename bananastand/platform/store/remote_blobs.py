"""Blobs in an object store, for several machines. A body that was received here stays here too, for its replica."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from pathlib import Path

from bananastand.task_set import TaskSet

from ..errors import PlatformError, StoreError
from .blobs import SMALL, Blobs, BlobState, cannot_write, write_chunks
from .object_store import ObjectStore

__all__ = ["RemoteBlobs"]

log = logging.getLogger("bananastand.platform")

REMOVAL = 1.0  # seconds between two deletions, which are many at once
SHARDS = tuple("0123456789abcdef")  # a listing of one of them is short enough for the memory


class RemoteBlobs(Blobs):
    """Blobs below a prefix of an object store.

    Args:
        folder: On this machine, for what is being received and for copies.
        store: The object store.
        prefix: Of their names there, which ends with a slash.
        start: With which all names begin before a hexadecimal digit.
        copies: Whether a file that becomes a blob stays on this machine too, until the blob is deleted.
        age: Seconds after which a blob that nobody knows may be deleted: another machine may be about to use it.
    """

    def __init__(
        self, folder: Path, store: ObjectStore, prefix: str, *, start: str = "", copies: bool = True, age: float
    ) -> None:
        super().__init__(folder)
        self.is_shared = True
        self._store, self._prefix, self._start, self._copies, self._age = store, prefix, start, copies, age
        self._removed, self._tasks = set[str](), TaskSet()
        self._removal: asyncio.Task[None] | None = None

    async def add(self, name: str, file: Path) -> None:
        """Write a blob with the content of a file, durably. Raises StoreFull, StoreError."""
        try:
            await self._store.put_file(self._prefix + name, file)
        except OSError as error:
            raise StoreError(f"{file} cannot be read: {error.strerror}") from error

    async def put(self, name: str, content: bytes) -> None:
        """Write a blob, durably. Raises StoreFull, StoreError."""
        await self._store.put(self._prefix + name, content)

    async def adopt(self, name: str, file: Path) -> None:
        """Make a complete file a blob. Raises StoreFull, StoreError."""
        await self.add(name, file)
        try:
            if self._copies:
                file.replace(self.path(name))
            else:
                file.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(file, error) from error

    async def get(self, name: str) -> bytes:
        """Return the content of a blob. Raises StoreError."""
        return b"".join([chunk async for chunk in self._store.chunks(self._prefix + name)])

    def chunks(self, name: str) -> AsyncGenerator[bytes]:
        """Yield the content of a blob. Raises StoreError."""
        return self._store.chunks(self._prefix + name)

    def size_here(self, name: str) -> int:
        """Return the size of a blob that has a copy here; for others the least that a blob of a body has."""
        return super().size_here(name) or SMALL + 1

    async def size(self, name: str) -> int | None:
        """Return the size of a blob in bytes; None if there is none. Raises StoreError."""
        return await self._store.size(self._prefix + name)

    async def list(self) -> list[BlobState]:
        """Return all blobs. Raises StoreError."""
        found = await self._store.find(self._prefix)
        return [BlobState(one.name.removeprefix(self._prefix), one.size, one.age) for one in found]

    async def local(self, name: str) -> Path:
        """Return a file of this machine with the content of a blob. Raises StoreFull, StoreError."""
        path = self.path(name)
        if path.exists():
            return path
        await write_chunks(self.chunks(name), path)
        return path

    async def remove(self, name: str) -> None:
        """Delete a blob if it exists, soon: nobody waits for the store, and many are deleted at once."""
        await self.remove_all([name])

    async def remove_all(self, names: Iterable[str]) -> None:
        """Delete those blobs that exist, soon."""
        for name in names:
            self.path(name).unlink(missing_ok=True)
            self._removed.add(name)
        if self._removed and (self._removal is None or self._removal.done()):
            self._removal = self._tasks.start(self._remove_soon())

    def sweep(self, known: Callable[[str], bool]) -> None:
        """Delete the copies that nobody knows, and in the background the old blobs that nobody knows."""
        super().sweep(known)
        self._tasks.start(self._sweep(known))

    async def close(self) -> None:
        """Delete what is to be deleted, as far as the store answers soon."""
        with suppress(PlatformError, TimeoutError):
            async with asyncio.timeout(REMOVAL):
                await self._remove_now()
        await self._tasks.close(0.0)

    async def _remove_soon(self) -> None:
        while self._removed:
            await asyncio.sleep(REMOVAL)
            await self._remove_now()

    async def _remove_now(self) -> None:
        names, self._removed = self._removed, set()
        try:
            await self._store.remove(self._prefix + name for name in names)
        except PlatformError as error:  # a later start finds them
            log.warning("%d blobs are left: %s", len(names), error)

    async def _sweep(self, known: Callable[[str], bool]) -> None:
        try:
            for shard in SHARDS if self._store.filters else ("",):
                found = await self._store.find(f"{self._prefix}{self._start}{shard}")
                old = (one.name.removeprefix(self._prefix) for one in found if one.age > self._age)
                await self.remove_all(name for name in old if not known(Path(name).stem))
                await asyncio.sleep(0)
            await self._store.abort_uploads(self._prefix, self._age)
        except PlatformError as error:
            log.warning("what killed platforms have left is not deleted yet: %s", error)
