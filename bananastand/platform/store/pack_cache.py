"""A node's cache of unpacked packs: each is unpacked once, stays while it is held, and goes when space is needed.

Several processes may use one cache. A pack lies in a folder of its digest's name. The lock file beside it holds its
size, its time of change is the last use, and an open lock on it keeps the pack from being deleted.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
from collections.abc import AsyncIterable
from contextlib import suppress
from pathlib import Path

from ..errors import StoreError
from .blobs import cannot_write
from .disk_usage import size_of
from .packs import unpack_into
from .private_files import make_folder

__all__ = ["HeldPack", "PackCache"]

POLL = 0.1  # seconds between two attempts to take a lock
DIGEST = re.compile(r"[0-9a-f]{64}")


class HeldPack:
    """An unpacked pack that the cache does not delete until `release`, or the end of the block, or of the process.

    Attributes:
        path: Its folder, which may be read and not be changed.
    """

    __slots__ = ("_lock", "path")

    def __init__(self, path: Path, lock: int) -> None:
        self.path, self._lock = path, lock

    def release(self) -> None:
        """Let the cache delete the pack when it needs space. May be called again."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *exception: object) -> None:
        self.release()


class PackCache:
    """A folder of unpacked packs.

    Args:
        folder: The folder, which is created.
        limit: Bytes of files that packs which are not held may take together with the others; None for any number.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self.folder, self._limit = make_folder(folder), limit

    async def unpack(self, digest: str, chunks: AsyncIterable[bytes], *, size: int = 0) -> HeldPack:
        """Return a pack, which is unpacked if it is not there. Others who want the same one wait meanwhile.

        Args:
            digest: The pack's.
            chunks: Its bytes, which are read only if they are needed.
            size: Bytes to make room for first.

        Raises:
            StoreFull: There is no space for it.
            StoreError: It is damaged or incomplete, or cannot be written.
        """
        if not DIGEST.fullmatch(digest):
            raise StoreError(f"{digest[:80]!r} is no digest of a pack")
        path = self.folder / digest
        while True:
            lock = self._open_lock(digest)
            try:
                if not path.is_dir() and self._take(lock, digest, fcntl.LOCK_EX) and not path.is_dir():
                    await self._unpack(lock, digest, chunks, size)
                if self._take(lock, digest, fcntl.LOCK_SH) and path.is_dir():
                    os.utime(lock)
                    held = HeldPack(path, os.dup(lock))
                    await asyncio.to_thread(self.shrink)
                    return held
            finally:
                os.close(lock)
            await asyncio.sleep(POLL)

    def shrink(self, extra: int = 0) -> None:
        """Delete leftovers of killed processes, and unused packs, the longest unused first, to be within the limit.

        Blocks while it deletes.

        Args:
            extra: Bytes that are to fit beside the packs.
        """
        for path in self.folder.glob(".*"):
            digest = path.name[1:].partition(".")[0]
            with suppress(OSError, StoreError):
                self._delete(digest, path)
        packs = list[tuple[float, int, str]]()
        for path in self.folder.glob("*.lock"):
            with suppress(OSError, ValueError):
                size = int(path.read_text() or size_of(path.with_suffix("")))
                packs.append((path.stat().st_mtime, size, path.stem))
        with suppress(OSError, StoreError):
            self._delete_unused(packs, extra)

    def _delete_unused(self, packs: list[tuple[float, int, str]], extra: int) -> None:
        excess = extra - shutil.disk_usage(self.folder).free
        if self._limit is not None:
            excess = max(excess, extra + sum(size for _, size, _ in packs) - self._limit)
        for _, size, digest in sorted(packs):
            if excess > 0 and self._delete(digest, self.folder / digest):
                excess -= size

    async def _unpack(self, lock: int, digest: str, chunks: AsyncIterable[bytes], size: int) -> None:
        """Unpack a pack whose lock is held."""
        try:
            await asyncio.to_thread(self.shrink, size)
            unpacked = await unpack_into(self.folder / digest, digest, chunks)
        except BaseException:
            self._lock_path(digest).unlink(missing_ok=True)
            raise
        with suppress(OSError):  # the disk is full: `shrink` counts the files
            os.pwrite(lock, b"%d" % unpacked, 0)

    def _delete(self, digest: str, path: Path) -> bool:
        """Delete a pack or a leftover of it, unless somebody has its lock; return whether it is deleted."""
        lock = self._open_lock(digest)
        try:
            if not self._take(lock, digest, fcntl.LOCK_EX):
                return False
            if path.name == digest and path.is_dir():
                gone = path.with_name(f".{digest}.gone")
                shutil.rmtree(gone, ignore_errors=True)
                path.rename(gone)  # at once: a half of it is not taken for the pack
                path = gone
            shutil.rmtree(path, ignore_errors=True)
            if not (self.folder / digest).is_dir():
                self._lock_path(digest).unlink(missing_ok=True)
            return True
        finally:
            os.close(lock)

    def _lock_path(self, digest: str) -> Path:
        return self.folder / f"{digest}.lock"

    def _open_lock(self, digest: str) -> int:
        try:
            return os.open(self._lock_path(digest), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise cannot_write(self._lock_path(digest), error) from error

    def _take(self, lock: int, digest: str, operation: int) -> bool:
        """Take a lock if it is free, and its file is still the one in the folder: who deletes a pack deletes that."""
        try:
            fcntl.flock(lock, operation | fcntl.LOCK_NB)
            return os.path.samestat(os.fstat(lock), os.stat(self._lock_path(digest)))
        except (BlockingIOError, FileNotFoundError):
            return False
