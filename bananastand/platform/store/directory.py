"""Locks a data directory, and packs folders into archives."""

from __future__ import annotations

import fcntl
import os
import tarfile
from pathlib import Path

from ..errors import Conflict
from .private_files import make_folder

__all__ = ["lock_directory", "pack"]


def lock_directory(data: Path, name: str = "lock") -> int:
    """Lock a data directory until the process ends, however it ends; return the lock's descriptor.

    Args:
        data: The directory.
        name: The lock's file.

    Raises:
        Conflict: Another process has the lock.
    """
    descriptor = os.open(data / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise Conflict(
            f"another stand is running on {data}: stop it, or take another folder: bananastand up --data FOLDER"
        ) from None
    return descriptor


def pack(folder: Path, archive: Path) -> None:
    """Write a folder's files to a new tar.gz that only its owner can read. Raises OSError."""
    make_folder(archive.parent)
    private = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(private, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
        tar.add(folder, arcname=".")
