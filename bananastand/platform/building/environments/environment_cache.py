"""The folder of made environments: locks, users, removal and disk space."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from ..errors import BuildError

__all__ = ["MADE", "exclusive", "forget_unused", "disk_full", "require_space", "note_user", "remove_environment"]

MADE = ".bananastand"  # in a made environment, once it is whole: the folders of the builds that use it
KEPT = 30 * 86400  # seconds that one without any is kept
LEAST = 200 * 2**20  # bytes that have to be free before anything is installed


@contextlib.asynccontextmanager
async def exclusive(lock: Path) -> AsyncGenerator[None]:
    """Hold a lock that other builds and processes respect; waiting for it can be cancelled."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.1)
        yield


def note_user(folder: Path, user: Path) -> None:
    """Record that the build in the folder `user` uses an environment, and drop builds that are gone."""
    marker = folder / MADE
    users = [user for user in marker.read_text(encoding="utf-8").splitlines() if Path(user).exists()]
    marker.write_text("".join(f"{path}\n" for path in dict.fromkeys([*users, str(user)])), encoding="utf-8")


def forget_unused(environments: Path) -> None:
    """Delete environments that no build has used for a month, and those that a killed build left half-made."""
    for folder in environments.iterdir() if environments.is_dir() else ():
        if folder.is_dir():
            _remove(folder, least_age=KEPT)


def remove_environment(folder: Path) -> None:
    """Delete an environment, unless a build uses it or is about to."""
    _remove(folder, least_age=0)


def _remove(folder: Path, least_age: float) -> None:
    with folder.with_suffix(".lock").open("w") as lock, contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        marker = folder / MADE
        if marker.exists():
            users = marker.read_text(encoding="utf-8").splitlines()
            if marker.stat().st_mtime > time.time() - least_age or any(Path(user).exists() for user in users):
                return
            marker.unlink()  # what is left of it, should the rest not go, is no environment
        shutil.rmtree(folder, ignore_errors=True)


def require_space(cache: Path) -> None:
    """Raise BuildError where the disk of the cache is full."""
    if shutil.disk_usage(cache).free < LEAST:
        raise disk_full(cache)


def disk_full(cache: Path) -> BuildError:
    """Return the error for a full disk: the folder, its size and what takes it."""
    held = {folder.name: _size(folder) for folder in cache.iterdir() if folder.is_dir()} if cache.is_dir() else {}
    parts = ", ".join(
        f"{name} {_spelled(size)}" for name, size in sorted(held.items(), key=lambda row: -row[1]) if size
    )
    held_in_all, free = _spelled(sum(held.values())), _spelled(shutil.disk_usage(cache).free)
    return BuildError(
        f"no space is left for packages in {cache}: it holds {held_in_all}{f' ({parts})' if parts else ''}, and {free} "
        "are free. Delete projects that are not needed, or the folder itself while no platform runs (the next builds "
        "fetch what they need), or move the data folder to a larger disk"
    )


def _size(folder: Path) -> int:
    """Return bytes on disk, counting a file with several names once."""
    seen, size = set[tuple[int, int]](), 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                info = os.lstat(os.path.join(place, name))
                if (info.st_dev, info.st_ino) not in seen:
                    seen.add((info.st_dev, info.st_ino))
                    size += info.st_blocks * 512
    return size


def _spelled(size: int) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"
