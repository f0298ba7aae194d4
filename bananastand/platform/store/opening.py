"""Opens and closes the database that the settings name, and notes in the data directory which one that is."""

from __future__ import annotations

from ..errors import PlatformError
from ..settings import Settings
from .database import SqliteStore
from .database_guard import check_database, note_start, note_stop
from .server_file import check_no_server, note_server
from .store import Store

__all__ = ["DATABASE", "close_store", "open_store"]

DATABASE = "stand.sqlite"


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
        try:
            server.take_lock()
        except PlatformError:
            server.close()
            raise
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
