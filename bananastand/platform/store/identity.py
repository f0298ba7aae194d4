"""The identity of a data directory, which marks the processes and containers that its platform starts.

It belongs to the directory by device and inode, and not by its content. A copy of the directory gets another identity
at its first start, so that it never ends processes of the original.
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
    """The identity of a data directory.

    Attributes:
        id: A UUID.
        moved_from: Where the directory, or the one that it is a copy of, was before; None if it was not moved.
    """

    id: str
    moved_from: str | None = None


def identity_of(folder: Path) -> Identity:
    """Return the identity of a directory, with a new one for a new directory and for a copy. Raises OSError.

    Call `settle` once the paths to the earlier place are mended.
    """
    about, record = os.stat(folder), _read(folder)
    earlier = record.get("folder")
    moved_from = earlier if isinstance(earlier, str) and earlier != str(folder) else None
    if (record.get("device"), record.get("inode")) == (about.st_dev, about.st_ino):
        return Identity(str(record["id"]), moved_from)
    identity = Identity(str(uuid.uuid4()), moved_from)
    _write(folder, identity.id, earlier if moved_from else str(folder))
    return identity


def settle(folder: Path, identity: Identity) -> None:
    """Record the directory's current place. Raises OSError."""
    if identity.moved_from is not None:
        _write(folder, identity.id, str(folder))


def _read(folder: Path) -> dict[str, Any]:
    try:
        record: Any = json.loads((folder / FILE).read_text(encoding="utf-8"))
        uuid.UUID(record["id"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return record


def _write(folder: Path, id: str, place: Any) -> None:
    about, temporary = os.stat(folder), folder / f"{FILE}.new"
    with open(temporary, "w", encoding="utf-8", opener=open_private) as file:
        json.dump({"id": id, "device": about.st_dev, "inode": about.st_ino, "folder": place}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / FILE)
