"""Measures the disk space of the parts of a data directory."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Part", "parts_of", "size_of", "format_size"]

# Folders and what is in them; those below cache count by themselves.
PARTS = {
    "stand.sqlite*": "database: projects, versions, calls",
    "bodies": "calls: requests and answers over 64 KiB",
    "builds": "versions: sources and file trees",
    "uploads": "archives that wait for their build",
    "git": "repositories of git push",
    "logs": "logs of builds and replicas",
    "cache/environments": "cache: Python environments",
    "cache/packages": "cache: packages",
    "cache/layers": "cache: results of RUN lines",
    "cache/huggingface": "cache: weights",
}
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the data directory.

    Attributes:
        name: The folder, or the beginning of the files' names.
        what: What is in it.
        entries: How many files or folders it has.
        size: Bytes on disk.
    """

    name: str
    what: str
    entries: int
    size: int


def parts_of(data: Path) -> tuple[list[Part], int]:
    """Return the parts of a data directory, and the free bytes of its disk. Blocks while it reads the disk."""
    parts, counted = list[Part](), set[tuple[int, int]]()
    for name, what in PARTS.items():
        places = sorted(data.glob(name))
        entries = sum(len(os.listdir(place)) if place.is_dir() else 1 for place in places)
        parts.append(Part(name.rstrip("*"), what, entries, sum(size_of(place, counted) for place in places)))
    named = {data / name for name in PARTS if "*" not in name} | set(data.glob("stand.sqlite*")) | {data / "cache"}
    places = [place for folder in (data, data / "cache") if folder.is_dir() for place in folder.iterdir()]
    others = [place for place in places if place not in named]
    parts.append(Part(OTHER, "everything else", len(others), sum(size_of(place, counted) for place in others)))
    return parts, shutil.disk_usage(data).free


def size_of(path: Path, counted: set[tuple[int, int]] | None = None) -> int:
    """Return the bytes on disk of a file, or of all files below a folder.

    Args:
        path: The file or folder.
        counted: Device and inode of files that do not count again; those that are counted are added.
    """
    counted, size = set[tuple[int, int]]() if counted is None else counted, 0
    for place in (str(path), *(f"{folder}/{name}" for folder, _, names in os.walk(path) for name in names)):
        with suppress(OSError):
            about = os.lstat(place)
            if (about.st_dev, about.st_ino) not in counted:
                counted.add((about.st_dev, about.st_ino))
                size += about.st_blocks * 512
    return size


def format_size(size: int) -> str:
    """Return a size in bytes for people to read.

    >>> format_size(0), format_size(3 * 2**20), format_size(5 * 2**30)
    ('0.0 MiB', '3.0 MiB', '5.0 GiB')
    """
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
