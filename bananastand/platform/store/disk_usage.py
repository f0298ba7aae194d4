"""How much room the parts of a data directory take. Reads file sizes; removes nothing."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Part", "parts_of", "size_of", "spelled"]

# What each folder holds; "cache/*" each by itself.
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
    """Folder or files, what they are, how many entries there are, and bytes on disk."""

    name: str
    what: str
    entries: int
    size: int


def parts_of(data: Path) -> tuple[list[Part], int]:
    """The parts of a directory with what they take, and the free bytes of its disk. Blocks while it looks."""
    found, seen, rest = list[Part](), set[tuple[int, int]](), 0
    for name, what in PARTS.items():
        places = sorted(data.glob(name))
        entries = sum(len(os.listdir(each)) if each.is_dir() else 1 for each in places)
        found.append(Part(name.rstrip("*"), what, entries, sum(size_of(each, seen) for each in places)))
    named = {data / name for name in PARTS if "*" not in name} | set(data.glob("stand.sqlite*")) | {data / "cache"}
    others = [each for folder in (data, data / "cache") if folder.is_dir() for each in folder.iterdir()]
    others = [each for each in others if each not in named]
    rest = sum(size_of(each, seen) for each in others)
    found.append(Part(OTHER, "everything else", len(others), rest))
    return found, shutil.disk_usage(data).free


def size_of(path: Path, seen: set[tuple[int, int]] | None = None) -> int:
    """Bytes on disk of a file, or of all below a folder; one with several names counts once. seen: counted before."""
    seen, size = set[tuple[int, int]]() if seen is None else seen, 0
    for place in (str(path), *(f"{folder}/{name}" for folder, _, names in os.walk(path) for name in names)):
        with suppress(OSError):
            about = os.lstat(place)
            if (about.st_dev, about.st_ino) not in seen:
                seen.add((about.st_dev, about.st_ino))
                size += about.st_blocks * 512
    return size


def spelled(size: int) -> str:
    """Bytes for people.

    >>> spelled(0), spelled(3 * 2**20), spelled(5 * 2**30)
    ('0.0 MiB', '3.0 MiB', '5.0 GiB')
    """
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
