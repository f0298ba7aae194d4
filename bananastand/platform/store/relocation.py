"""Rewrites the paths in a data directory that was moved or copied: versions, links to weights, environments."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sqlalchemy import text

from .store import Store

__all__ = ["relocate"]

USERS_FILE = ".bananastand"  # in an environment: the folders of the builds that use it
MAX_BYTES = 2**20  # of a file whose text is rewritten


def relocate(store: Store, folder: Path, earlier: str) -> int:
    """Rewrite the paths of a data directory.

    Args:
        store: Its database.
        folder: Where it is now.
        earlier: Where it was.

    Returns:
        How many versions were rewritten.

    Raises:
        StoreError: The database cannot be written.
    """
    old, new = (json.dumps(f"{path.rstrip('/')}/")[1:-1] for path in (earlier, str(folder)))
    with store.transaction() as connection:
        values = {"old": old, "new": new}
        result = connection.execute(
            text("UPDATE deployments SET launch = replace(launch, :old, :new) WHERE instr(launch, :old) > 0"), values
        )
        values = {"old": f"{earlier.rstrip('/')}/", "new": f"{folder}/"}
        connection.execute(
            text("UPDATE builds SET source = :new || substr(source, length(:old) + 1) WHERE instr(source, :old) = 1"),
            values,
        )
    for link in _links(folder / "builds"):
        _redirect(link, earlier, str(folder))
    for environment in (folder / "cache" / "environments").glob("*"):
        for file in (environment / USERS_FILE, *environment.glob("bin/*")):
            _rewrite(file, earlier.encode(), str(folder).encode())
    return result.rowcount


def _links(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        yield from (path for name in (*folders, *names) if os.path.islink(path := f"{place}/{name}"))


def _redirect(link: str, earlier: str, now: str) -> None:
    with suppress(OSError):
        target = os.readlink(link)
        if target.startswith(f"{earlier}/"):
            os.unlink(link)
            os.symlink(f"{now}{target[len(earlier) :]}", link)


def _rewrite(file: Path, earlier: bytes, now: bytes) -> None:
    """Rewrite a program of an environment, whose first line names the environment's Python."""
    with suppress(OSError):
        if file.is_symlink() or not file.is_file() or file.stat().st_size > MAX_BYTES:
            return
        content = file.read_bytes()
        if earlier + b"/" in content and b"\0" not in content:
            file.write_bytes(content.replace(earlier + b"/", now + b"/"))
