"""The identity of a data directory: what marks the processes and containers that its platform starts.

It belongs to the directory itself, by device and inode, and not to what is in it. A copy of the directory gets another
one at its first start, so that it never ends what the original has running.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .private_files import open_private

__all__ = ["FILE", "Identity", "identity_of", "settle"]

FILE = "identity.json"


@dataclass(frozen=True, slots=True)
class Identity:
    """id: a uuid. moved_from: where the directory, or the one that it is a copy of, was before; None if it is there."""

    id: str
    moved_from: str | None = None


def identity_of(folder: Path) -> Identity:
    """The identity, made if there is none or if the one that is there came with a copy. Raises OSError.

    `settle` has to follow once paths that lead to where the directory was are mended.
    """
    about, kept = os.stat(folder), _kept(folder)
    was = kept.get("folder")
    moved_from = was if isinstance(was, str) and was != str(folder) else None
    if (kept.get("device"), kept.get("inode")) == (about.st_dev, about.st_ino):
        return Identity(str(kept["id"]), moved_from)
    made = Identity(str(uuid.uuid4()), moved_from)
    _write(folder, made.id, was if moved_from else str(folder))
    return made


def settle(folder: Path, identity: Identity) -> None:
    """Write down that the directory is where it is. Raises OSError."""
    if identity.moved_from is not None:
        _write(folder, identity.id, str(folder))


def _kept(folder: Path) -> dict[str, Any]:
    try:
        kept: Any = json.loads((folder / FILE).read_text(encoding="utf-8"))
        uuid.UUID(kept["id"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return kept


def _write(folder: Path, id: str, place: Any) -> None:
    about, aside = os.stat(folder), folder / f"{FILE}.new"
    with open(aside, "w", encoding="utf-8", opener=open_private) as file:
        json.dump({"id": id, "device": about.st_dev, "inode": about.st_ino, "folder": place}, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(folder / FILE)
