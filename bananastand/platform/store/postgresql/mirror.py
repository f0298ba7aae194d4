"""A copy in memory of the rows that are read and changed at once: all but those of calls.

One front at a time changes these rows, so its copy is what counts. A transaction changes the copy, and its statements
are recorded for the server. It is a database of SQLite in memory, so that the same statements work.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, event, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from ...errors import Refused, StoreError
from .. import tables

__all__ = ["Change", "Mirror", "replay"]

Change = list[tuple[Any, Any]]  # statements with their parameters


class Mirror:
    """The copy."""

    def __init__(self) -> None:
        self._engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        self._lock = threading.RLock()
        self._open: Connection | None = None  # while a transaction is open
        self._change: Change = []
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "before_execute", self._record)
        event.listen(self._engine, "before_cursor_execute", _check_texts)
        tables.METADATA.create_all(self._engine)

    def load(self, server: Connection) -> None:
        """Copy all rows from the server, in place of those that are here."""
        with self._lock, self._engine.begin() as connection:
            for table in reversed(tables.METADATA.sorted_tables):
                connection.execute(table.delete())
            for table in tables.METADATA.sorted_tables:
                rows = [] if table is tables.calls else [dict(row) for row in server.execute(select(table)).mappings()]
                if rows:
                    connection.execute(insert(table), rows)

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """Read the copy."""
        with self._lock:
            if self._open is not None:
                yield self._open
                return
            with self._engine.connect() as connection:
                yield connection

    @contextmanager
    def transaction(self) -> Generator[tuple[Connection, Change]]:
        """Change the copy; the statements are in the second value once the block has ended.

        Raises:
            StoreError: A statement has failed; nothing is changed.
            Refused: A text cannot be stored; nothing is changed.
        """
        with self._lock:
            self._change = []
            try:
                with self._engine.begin() as connection:
                    self._open = connection
                    yield connection, self._change
            except DBAPIError as error:
                raise StoreError(f"the change does not fit the database: {error.orig}") from error
            except UnicodeEncodeError as error:
                half = ascii(error.object[error.start])
                raise Refused(f"a text has half of a character in it, {half}: send the whole pair") from error
            finally:
                self._open = None

    def close(self) -> None:
        """Drop the copy."""
        self._engine.dispose()

    def _record(
        self, connection: Connection, statement: Any, several: list[Any], parameters: dict[str, Any], options: Any
    ) -> None:
        if self._open is not None and (getattr(statement, "is_dml", False) or getattr(statement, "is_text", False)):
            self._change.append((statement, several or parameters or None))


def replay(connection: Connection, change: Change) -> None:
    """Execute the recorded statements of a change."""
    for statement, parameters in change:
        connection.execute(statement, parameters)


def _prepare(driver: Any, record: Any) -> None:
    driver.execute("PRAGMA foreign_keys = ON")


def _check_texts(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, is_many: bool
) -> None:
    """Raise Refused for a text with a NUL, which PostgreSQL cannot store."""
    for row in parameters if is_many else (parameters,):
        for value in row:
            if isinstance(value, str) and "\0" in value:
                raise Refused("a text has a NUL character in it: leave it out")
