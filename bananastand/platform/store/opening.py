"""Opens and closes the database that the settings name, and notes in the data directory which one that is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import Conflict
from ..settings import Settings
from .database import SqliteStore
from .database_guard import check_database, note_start, note_stop
from .private_files import open_private
from .store import Store

__all__ = ["DATABASE", "SERVER_FILE", "check_no_server", "close_store", "note_server", "open_store", "server_of"]

DATABASE = "stand.sqlite"
SERVER_FILE = "postgresql.json"  # in the data directory of a platform whose rows are in PostgreSQL


def open_store(settings: Settings, id: str) -> Store:
    """Open the database of a platform.

    Args:
        settings: Which database.
        id: The identity of the data directory.

    Raises:
        Conflict: Its rows were moved to another database, rows were lost, or another platform uses it.
        StoreError: It cannot be used.
    """
    if settings.database is not None:
        from .postgresql.store import PostgresStore

        server = PostgresStore(settings.database)
        server.take_lock()
        note_server(settings.data, server.server)
        return server
    check_no_server(settings.data)
    check_database(settings.data)
    store = SqliteStore(settings.data / DATABASE)
    note_start(settings.data)
    store.identify(id)
    return store


def close_store(settings: Settings, store: Store) -> None:
    """Close the database. Raises nothing that a platform that stops could act on."""
    store.close()
    if isinstance(store, SqliteStore):
        note_stop(settings.data)


def note_server(data: Path, server: str) -> None:
    """Note that the rows of a data directory are in PostgreSQL."""
    with open(data / SERVER_FILE, "w", encoding="utf-8", opener=open_private) as file:
        json.dump({"server": server}, file)


def server_of(data: Path) -> str | None:
    """Return the server that has the rows of a data directory; None if they are in SQLite."""
    try:
        record: Any = json.loads((data / SERVER_FILE).read_text(encoding="utf-8"))
        return str(record["server"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_no_server(data: Path) -> None:
    """Raise Conflict where the rows of a data directory are in PostgreSQL."""
    if (server := server_of(data)) is not None:
        raise Conflict(
            f"the rows of {data} are in PostgreSQL, at {server}: start with --database URL. To go on with SQLite "
            f"without them, delete {data / SERVER_FILE}"
        )
