"""Keeps files, folders and this process's memory private to their owner."""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["UMASK", "make_folder", "make_private", "open_private", "protect_memory", "widen"]

UMASK = 0o077  # of the platform and of all that it starts
OTHERS = 0o077
SET_DUMPABLE = 4  # prctl(2)


def protect_memory() -> None:
    """Keep other processes of this user out of this one's memory and environment, and write no core dumps.

    Child processes are not affected, and root can still read both.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(SET_DUMPABLE, 0, 0, 0, 0)


def open_private(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file with mode 0600, as an opener for `open`; an existing file is closed to group and others."""
    descriptor = os.open(path, flags, 0o600)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) & OTHERS:
        with suppress(OSError):
            os.fchmod(descriptor, 0o600)
    return descriptor


def make_folder(path: Path) -> Path:
    """Create a folder that only its owner can read, with its parents, and return it."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def make_private(path: Path, *, shared: bool = True) -> None:
    """Close a file, or a folder with everything below it, to group and others. Blocks for some microseconds a file.

    Symbolic links are left alone, and so are files of other users.

    Args:
        path: The file or folder.
        shared: Whether files that have a second hard link are closed too.
    """
    _close(str(path), shared)
    for place, folders, names in os.walk(path):
        for name in (*folders, *names):
            _close(f"{place}/{name}", shared)


def _close(path: str, shared: bool) -> None:
    with suppress(OSError):
        about = os.lstat(path)
        if stat.S_ISLNK(about.st_mode) or not about.st_mode & OTHERS:
            return
        if shared or about.st_nlink == 1 or stat.S_ISDIR(about.st_mode):
            os.chmod(path, stat.S_IMODE(about.st_mode) & ~OTHERS)


def widen(path: Path) -> None:
    """Let group and others read and execute what the owner may, in a folder: as in a checkout of git.

    Files that are copied into an image are read by the image's own user.
    """
    for place, _, names in os.walk(path):
        for file in (Path(place), *(Path(place, name) for name in names)):
            with suppress(OSError):
                mode = file.lstat().st_mode
                if not stat.S_ISLNK(mode):
                    readable = mode & 0o500
                    file.chmod(stat.S_IMODE(mode) | readable >> 3 | readable >> 6)
