"""Moves the rows of a data directory from SQLite to PostgreSQL, in one transaction: all of them, or none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, create_engine, delete, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ...errors import Conflict, Refused, StoreError
from .. import tables
from ..database import SqliteStore
from ..database_guard import FILE as STARTS
from ..database_guard import check_database
from ..directory import lock_directory
from ..opening import DATABASE
from ..server_file import note_server, server_of
from .errors import FAILURES, as_store_error
from .schema import is_empty
from .store import PostgresStore

__all__ = ["move_to_postgres"]

BATCH_SIZE = 500  # rows of one INSERT
OWN_FACTS = ("starts", "front")  # of one kind of database

Progress = Callable[[str, int, int], None]


def move_to_postgres(data: Path, url: str, progress: Progress) -> dict[str, int]:
    """Move all rows of a data directory; its files stay where they are.

    The file of SQLite is renamed in the end. A move that was killed has written nothing, or has only to be noted in the
    directory: it can be repeated either way.

    Args:
        data: The data directory, of a platform that does not run.
        url: An empty database.
        progress: Called with a table's name, how many of its rows are written, and how many there are.

    Returns:
        How many rows each table has.

    Raises:
        Conflict: A platform runs on either of them, or the database has rows of another platform.
        Refused: There is nothing to move.
        StoreError: Nothing was moved.
    """
    if not (data / DATABASE).exists():
        where = f"; its rows are in PostgreSQL, at {server_of(data)}" if server_of(data) is not None else ""
        raise Refused(f"{data} has no {DATABASE}{where}: name the directory of a platform with --data")
    lock = lock_directory(data)
    try:
        check_database(data)
        SqliteStore(data / DATABASE).close()  # it is migrated to the newest version, and its WAL is merged
        target = PostgresStore(url)
        try:
            if not target.session.try_lock(1.0):
                raise Conflict(f"a platform runs on the database {target.server}: stop it first")
            with _opened(data / DATABASE) as source:
                counts = _move(source, target, progress)
        finally:
            target.close()
        note_server(data, target.server)
        aside = f".moved-{time.strftime('%Y%m%d-%H%M%S')}"
        for name in (DATABASE, STARTS):
            if (data / name).exists():
                (data / name).rename(data / f"{name}{aside}")
        return counts
    finally:
        os.close(lock)


@contextmanager
def _opened(path: Path) -> Generator[Connection]:
    engine = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise StoreError(f"the database {path} failed: {error.orig}") from error


def _move(source: Connection, target: PostgresStore, progress: Progress) -> dict[str, int]:
    try:
        with target.opener.begin() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            if not is_empty(connection):
                if _is_same(source, connection):
                    return _counts(connection)  # a move that was killed before it was noted
                raise Conflict(f"the database {target.server} has rows already: name an empty one")
            connection.execute(delete(tables.facts).where(tables.facts.c.name.not_in(OWN_FACTS)))
            for table in tables.METADATA.sorted_tables:
                _copy(table, source, connection, progress)
            last = select(func.max(tables.calls.c.number)).scalar_subquery()
            sequence = func.pg_get_serial_sequence("calls", "number")
            connection.execute(select(func.setval(sequence, last)).where(last.is_not(None)))
            expected, counts = _counts(source), _counts(connection)
            if counts != expected:
                raise StoreError(f"not all rows were moved: {counts} of {expected}; nothing is changed, try again")
            return counts
    except FAILURES as error:
        raise as_store_error(error, target.server) from error


def _copy(table: Table, source: Connection, target: Connection, progress: Progress) -> None:
    total, written = source.scalar(_count(table)) or 0, 0
    rows = source.execution_options(yield_per=BATCH_SIZE).execute(_rows(table))
    for batch in rows.mappings().partitions(BATCH_SIZE):
        target.execute(insert(table), [_storable(row) for row in batch])
        written += len(batch)
        progress(table.name, written, total)


def _rows(table: Table) -> Any:
    query = select(table).order_by(*table.primary_key.columns)
    return query.where(tables.facts.c.name.not_in(OWN_FACTS)) if table is tables.facts else query


def _count(table: Table) -> Any:
    return select(func.count()).select_from(_rows(table).order_by(None).subquery())


def _counts(connection: Connection) -> dict[str, int]:
    return {table.name: connection.scalar(_count(table)) or 0 for table in tables.METADATA.sorted_tables}


def _is_same(source: Connection, target: Connection) -> bool:
    """Return whether the rows of this platform, and no others, are in both."""
    identity = select(tables.facts.c.value).where(tables.facts.c.name == "stand")
    return source.scalar(identity) == target.scalar(identity) and _counts(source) == _counts(target)


def _storable(row: Any) -> dict[str, Any]:
    """Return a row without NUL characters, which PostgreSQL cannot store in a text."""
    return {name: value.replace("\0", "\ufffd") if isinstance(value, str) else value for name, value in row.items()}
