"""The file under a recording: whole after a crash or on a full disk, and written by one process at a time."""

from __future__ import annotations

import os
import sys
import weakref
from pathlib import Path

__all__ = ["CassetteFile", "InUse"]


class InUse(OSError):
    """Another process, or another recording of this one, writes the file."""


class CassetteFile:
    """A file that only its owner can read. It grows by entries, each of which is written whole or not at all.

    A process that is killed in the middle of an entry leaves a part of it at the end; `read_cassette` drops that.

    Args:
        path: The file.
        is_new: Whether it must not exist.

    Raises:
        InUse: Somebody else writes it.
        OSError: It cannot be opened, or exists though it must not.
    """

    def __init__(self, path: Path, *, is_new: bool) -> None:
        self.path = path
        self._descriptor = [_open(path, os.O_EXCL if is_new else 0)]
        weakref.finalize(self, _close, self._descriptor)

    def append(self, text: str) -> None:
        """Write an entry at the end. Raises OSError, and leaves the file as it was."""
        descriptor = self._descriptor[0]
        if not _is_at(descriptor, self.path):
            raise FileNotFoundError(f"{self.path} was deleted or replaced")
        size = os.fstat(descriptor).st_size
        try:
            _write(descriptor, text)
        except OSError:
            os.ftruncate(descriptor, size)
            raise

    def rewrite(self, text: str) -> None:
        """Replace the content at once, also where the file was deleted. Raises OSError, and leaves it as it was."""
        new = self.path.with_name(f".{self.path.name}.new")
        descriptor = _open(new, 0)
        try:
            os.ftruncate(descriptor, 0)
            _write(descriptor, text)
            new.replace(self.path)
        except OSError:
            os.close(descriptor)
            new.unlink(missing_ok=True)
            raise
        os.close(self._descriptor[0])
        self._descriptor[0] = descriptor


def _open(path: Path, flags: int) -> int:
    """Open and lock a file. It may be replaced until it is locked; then the new one is opened."""
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | flags, 0o600)
        try:
            _lock(descriptor, path)
        except OSError:
            os.close(descriptor)
            raise
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(f"{path} is being recorded by another process") from None


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _write(descriptor: int, text: str) -> None:
    content = memoryview(text.encode())
    while content:
        content = content[os.write(descriptor, content) :]


def _close(descriptor: list[int]) -> None:
    os.close(descriptor[0])
