"""Mends the paths in a data directory that was moved or copied: versions, links to weights, environments."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sqlalchemy import text

from .database import Store

__all__ = ["relocate"]

USERS = ".bananastand"  # in an environment: the folders of the builds that use it
LARGEST = 2**20  # bytes of a file whose text is mended


def relocate(store: Store, folder: Path, was: str) -> int:
    """Have everything lead to `folder` that leads to where it was; how many versions were mended. Raises StoreError."""
    old, new = (json.dumps(f"{path.rstrip('/')}/")[1:-1] for path in (was, str(folder)))
    with store.transaction() as connection:
        values = {"old": old, "new": new}
        done = connection.execute(
            text("UPDATE deployments SET launch = replace(launch, :old, :new) WHERE instr(launch, :old) > 0"), values
        )
        values = {"old": f"{was.rstrip('/')}/", "new": f"{folder}/"}
        connection.execute(
            text("UPDATE builds SET source = :new || substr(source, length(:old) + 1) WHERE instr(source, :old) = 1"),
            values,
        )
    for link in _links(folder / "builds"):
        _lead(link, was, str(folder))
    for environment in (folder / "cache" / "environments").glob("*"):
        for file in (environment / USERS, *environment.glob("bin/*")):
            _mend(file, was.encode(), str(folder).encode())
    return done.rowcount


def _links(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        yield from (path for name in (*folders, *names) if os.path.islink(path := f"{place}/{name}"))


def _lead(link: str, was: str, now: str) -> None:
    with suppress(OSError):
        target = os.readlink(link)
        if target.startswith(f"{was}/"):
            os.unlink(link)
            os.symlink(f"{now}{target[len(was) :]}", link)


def _mend(file: Path, was: bytes, now: bytes) -> None:
    """Programs of an environment name its Python in their first line."""
    with suppress(OSError):
        if file.is_symlink() or not file.is_file() or file.stat().st_size > LARGEST:
            return
        content = file.read_bytes()
        if was + b"/" in content and b"\0" not in content:
            file.write_bytes(content.replace(was + b"/", now + b"/"))
