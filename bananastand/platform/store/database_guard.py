"""Refuses to start on a database that has lost data: one that is missing, emptied or without its WAL.

SQLite opens any of these without an error, as an older or an empty database. So the number of starts is stored beside
the database as well as in it, and whether the platform was stopped. Source: sqlite.org/wal.html, "The WAL File", and
howtocorrupt.html 1.4.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from ..errors import Conflict, StoreError
from .private_files import open_private

__all__ = ["FILE", "check_database", "note_start", "note_stop"]

FILE = "starts.json"
FACT = "starts"
HISTORY_FOLDERS = ("bodies", "builds", "logs", "git")  # a data directory that was used has files in these


def check_database(data: Path, name: str = "stand.sqlite") -> None:
    """Check a database before it is opened. Raises Conflict if data was lost."""
    path, record = data / name, _read_record(data)
    if not path.exists() or path.stat().st_size == 0:
        if record is None and not _has_history(data):
            return
        if not path.exists() or not _has_wal(path):
            raise _lost(path, "is missing" if not path.exists() else "is empty")
    starts = _starts_in(path)
    if starts < 0 and (record is not None or _has_history(data)):
        raise _lost(path, "has no tables any longer")
    if record is None:
        return
    if not record["stopped"] and not path.with_name(f"{name}-wal").exists():
        raise _lost(
            path, f"has lost its last writes: {name}-wal is missing, and the platform was killed before (nothing is "
            "lost if another program, such as sqlite3, has opened the database since)"
        )  # fmt: skip
    if starts < record["starts"]:
        last = record["starts"]
        raise _lost(path, f"is older than this directory: it knows of start {starts}, and {last} is the last")


def note_start(data: Path, name: str = "stand.sqlite") -> None:
    """Record a start, of a database that is open. Raises StoreError."""
    path = data / name
    try:
        with closing(sqlite3.connect(path, timeout=5.0)) as connection, connection:
            record = _read_record(data)
            number = max(_value(connection), record["starts"] if record else 0) + 1
            connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (FACT, str(number)))
    except sqlite3.Error as error:
        raise StoreError(f"the database {path} failed: {error}") from error
    _write(data, {"starts": number, "stopped": False})


def note_stop(data: Path) -> None:
    """Record that the database was closed: everything is in it, and its WAL is gone."""
    if (record := _read_record(data)) is not None:
        _write(data, {**record, "stopped": True})


def _lost(path: Path, problem: str) -> Conflict:
    return Conflict(
        f"{path} {problem}. Nothing is changed. Restore a backup: bananastand restore FILE --data {path.parent}. "
        f"To go on with what is there, or to begin anew, delete {path.with_name(FILE)}"
        + (" and the folders beside it" if _has_history(path.parent) else "")
    )


def _has_history(data: Path) -> bool:
    return any(folder.is_dir() and any(folder.iterdir()) for folder in (data / name for name in HISTORY_FOLDERS))


def _has_wal(path: Path) -> bool:
    wal = path.with_name(f"{path.name}-wal")
    return wal.exists() and wal.stat().st_size > 0


def _starts_in(path: Path) -> int:
    try:
        # Read-only: the WAL stays, which the last connection that may write would merge and delete.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
            return _value(connection)
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return -1
        raise StoreError(f"the database {path} failed: {error}") from error
    except sqlite3.Error as error:
        raise StoreError(f"the database {path} failed: {error}") from error


def _value(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (FACT,)).fetchone()
    return int(row[0]) if row is not None else 0


def _read_record(data: Path) -> dict[str, Any] | None:
    try:
        record: Any = json.loads((data / FILE).read_text(encoding="utf-8"))
        return {"starts": int(record["starts"]), "stopped": bool(record["stopped"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(data: Path, record: dict[str, Any]) -> None:
    temporary = data / f"{FILE}.new"
    with open(temporary, "w", encoding="utf-8", opener=open_private) as file:
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(data / FILE)
