"""The database of a data directory in SQLite: opening, migrations and transactions.

SQLite in WAL mode. A committed transaction survives a killed process; once its caller has waited for the disk, it
survives a power cut too. The short writes of calls are committed on the event loop, and a thread of its own (`writer`)
syncs the WAL for all that wait. The same thread makes long writes, and those that another program's lock delays.
Leases are bookkeeping that a power cut may undo: an attempt that it forgets is made once more.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event, insert, select, text, update
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlalchemy.pool import NullPool

from ..errors import Conflict, Refused, StoreError, StoreFull
from . import tables
from .private_files import make_folder, open_private
from .store import Store
from .writer import Writer, committed, driver_of, is_locked

__all__ = ["STEPS", "SqliteStore", "upgrade"]

OPEN_TIMEOUT = 5.0  # seconds to wait for another program's lock at the start
LOCK_TIMEOUT = 0.25  # seconds that the event loop waits for the writer, which has the lock for a few milliseconds

Step = Callable[[Connection], None]
MakeWriter = Callable[[Connection, threading.Lock, Path], Writer]


def _create_tables(connection: Connection) -> None:
    tables.METADATA.create_all(connection)


def _add_concurrency(connection: Connection) -> None:
    """Store the concurrency of an app with its version. A new database has the column from its first step."""
    columns = connection.execute(text("PRAGMA table_info(deployments)"))
    if "takes" not in [row.name for row in columns]:
        connection.execute(text("ALTER TABLE deployments ADD COLUMN takes INTEGER"))


def _add_requests(connection: Connection) -> None:
    """Store method and both lists of headers of a call; before, only the type of its answer was stored."""
    columns = [row.name for row in connection.execute(text("PRAGMA table_info(calls)"))]
    if "answer_headers" in columns:
        return
    connection.execute(text("ALTER TABLE calls ADD COLUMN method TEXT NOT NULL DEFAULT 'POST'"))
    connection.execute(text("ALTER TABLE calls ADD COLUMN headers TEXT"))
    connection.execute(text("ALTER TABLE calls ADD COLUMN answer_headers TEXT"))
    typed = "json_array(json_array('content-type', content_type))"
    connection.execute(text(f"UPDATE calls SET answer_headers = {typed} WHERE content_type IS NOT NULL"))
    posted = "json_array(json_array('content-type', 'application/json'))"
    connection.execute(text(f"UPDATE calls SET headers = {posted} WHERE state IN ('queued', 'running')"))
    connection.execute(text("ALTER TABLE calls DROP COLUMN content_type"))


def _add_as_of(connection: Connection) -> None:
    """Store the day as of which the open requirements of a build are resolved."""
    columns = connection.execute(text("PRAGMA table_info(builds)"))
    if "as_of" not in [row.name for row in columns]:
        connection.execute(text("ALTER TABLE builds ADD COLUMN as_of TEXT"))


T = TypeVar("T")


def _add_github(connection: Connection) -> None:
    """Store the repository of a project, and the deliveries of GitHub's webhook."""
    for table in (tables.github_repositories, tables.github_deliveries):
        table.create(connection, checkfirst=True)


def _add_alone(connection: Connection) -> None:
    """Store whether a call is tried alone because its replica died, so that it is after a restart too."""
    columns = connection.execute(text("PRAGMA table_info(calls)"))
    if "alone" not in [row.name for row in columns]:
        connection.execute(text("ALTER TABLE calls ADD COLUMN alone BOOLEAN NOT NULL DEFAULT 0"))


def _index_unfinished_calls(connection: Connection) -> None:
    """Index what is looked for alone: a lease then changes no index, and an end adds to the end of one."""
    connection.execute(text("DROP INDEX IF EXISTS calls_by_state"))
    for index in tables.calls.indexes:
        index.create(connection, checkfirst=True)


def _add_resources(connection: Connection) -> None:
    """Store what a replica of a project takes of its node."""
    if "labels" in [row.name for row in connection.execute(text("PRAGMA table_info(projects)"))]:
        return
    for column in ("gpus FLOAT", "gpu_memory_gb FLOAT", "memory_mb INTEGER", "labels TEXT NOT NULL DEFAULT ''"):
        connection.execute(text(f"ALTER TABLE projects ADD COLUMN {column}"))


# Step n migrates a database from version n to n + 1. Released steps never change. A database of PostgreSQL begins at
# the newest step: those from the ninth on run on both, so they ask `sqlalchemy.inspect` and not a PRAGMA.
STEPS: Sequence[Step] = (
    _create_tables,
    _add_concurrency,
    _add_as_of,
    _add_requests,
    _add_github,
    _add_alone,
    _index_unfinished_calls,
    _add_resources,
)


class SqliteStore(Store):
    """An open database of SQLite.

    Args:
        path: Its file, which is created if it does not exist.
        steps: The migrations.
        make_writer: Makes the writer, for tests.

    Attributes:
        id: The identity of the data directory.
        team: The id of Banana's one team.

    Raises:
        StoreError: The database cannot be used.
        Conflict: It is newer than this program.
    """

    def __init__(self, path: Path, steps: Sequence[Step] = STEPS, *, make_writer: MakeWriter = Writer) -> None:
        make_folder(path.parent)
        self.path = path
        self._engine = create_engine(
            f"sqlite:///{path}", poolclass=NullPool, connect_args={"check_same_thread": False, "timeout": OPEN_TIMEOUT}
        )
        self._lock = threading.Lock()  # held by whoever writes
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        try:
            for file in (path, *path.parent.glob(f"{path.name}.version-*")):
                os.close(open_private(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC))  # its WAL gets the same mode
            self._connection = self._engine.connect()
            upgrade(self._connection, path, steps)
            self._reader = self._engine.connect()
        except (DatabaseError, OSError) as error:
            self._engine.dispose()
            raise _as_store_error(error, path) from error
        self._flushing: asyncio.Task[None] | None = None
        self._writer = make_writer(self._connection, self._lock, path)
        self.id = self._fact("stand")
        self.team = self._fact("team")
        driver_of(self._connection).execute("PRAGMA wal_autocheckpoint = 0")  # the writer makes checkpoints
        driver_of(self._connection).execute("PRAGMA busy_timeout = 0")

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Generator[Connection]:
        """Run the block as one transaction, which is committed when the block ends.

        An event loop does not wait here for the disk: whoever acknowledges the transaction awaits `flush` first.

        Args:
            durable: Whether it survives a power cut, without an event loop at once.

        Raises:
            StoreFull: The disk is full; nothing is written.
            StoreError: Nothing is written, because of the disk or another program's lock.
        """
        loop = _running_loop()
        if not self._lock.acquire(timeout=LOCK_TIMEOUT):
            raise StoreError(f"the database {self.path} is busy: the disk is slow, try again")
        try:
            with committed(self._connection, durable=durable and loop is None):
                yield self._connection
            if durable and loop is not None:
                self._flushing = loop.create_task(self._writer.sync())
                self._flushing.add_done_callback(_mark_retrieved)
        except (DBAPIError, sqlite3.Error) as error:
            raise _as_store_error(error, self.path) from error
        except UnicodeEncodeError as error:
            raise _not_storable(error) from error
        finally:
            self._lock.release()

    @property
    def is_flushed(self) -> bool:
        """Whether no transaction waits for the disk."""
        return self._flushing is None

    async def flush(self) -> None:
        """Wait until all transactions are on the disk. Raises StoreError where it is not known whether they are."""
        while (flushing := self._flushing) is not None and flushing.get_loop() is asyncio.get_running_loop():
            try:
                with self._translated_errors():
                    await asyncio.shield(flushing)
            finally:
                if flushing.done() and self._flushing is flushing:
                    self._flushing = None

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """Read what is committed. Raises StoreError."""
        try:
            with self._reader.begin():
                yield self._reader
        except DBAPIError as error:
            raise _as_store_error(error, self.path) from error

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Read with `work` at once. Raises StoreError."""
        with self.reading() as connection:
            return work(connection)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on the writer's thread, in a transaction that it may share with others, and wait for the disk.

        Raises:
            StoreFull: The disk is full; nothing is written.
            StoreError: Nothing is written, because of the disk or another program that holds the lock for long.
        """
        with self._translated_errors():
            return await self._writer.write(work)

    async def write_short(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Run `work`, which takes well below a millisecond, in a transaction, without waiting for anybody's lock.

        Args:
            work: Called with the connection, perhaps on another thread.
            durable: Whether to wait until it survives a power cut.

        Raises:
            StoreFull: The disk is full; nothing is written.
            StoreError: The disk has failed: it is not known whether it is written; or nothing is, because another
                program holds the lock for long.
        """
        is_written, result = self.write_now(work)
        with self._translated_errors():
            if not is_written:
                return await self._writer.write(work)
            if durable:
                await self._writer.sync()
        return result

    async def sync(self) -> None:
        """Wait until all that is committed survives a power cut. Raises StoreError."""
        with self._translated_errors():
            await self._writer.sync()

    def write_now(self, work: Callable[[Connection], T]) -> tuple[bool, Any]:
        """Run `work` in a transaction at once, which a power cut may undo.

        Returns:
            Whether it is committed, and what `work` has returned; nothing is written where somebody has the lock.

        Raises:
            StoreFull, StoreError: Nothing is written.
        """
        if self._writer.is_busy or not self._lock.acquire(blocking=False):
            return False, None
        try:
            with committed(self._connection, durable=False):
                return True, work(self._connection)
        except (DBAPIError, sqlite3.Error) as error:
            if is_locked(error):
                return False, None
            raise _as_store_error(error, self.path) from error
        except UnicodeEncodeError as error:
            raise _not_storable(error) from error
        finally:
            self._lock.release()

    def execute(self, connection: Connection, statement: str, row: Mapping[str, Any]) -> int:
        """Execute one statement with the driver, and return how many rows it has changed."""
        return driver_of(connection).execute(statement, row).rowcount

    def insert(self, connection: Connection, statement: str, row: Mapping[str, Any]) -> int:
        """Execute an INSERT with the driver, and return the number of the new row."""
        return driver_of(connection).execute(statement, row).lastrowid or 0

    @contextmanager
    def _translated_errors(self) -> Generator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.Error, OSError) as error:
            raise _as_store_error(error, self.path) from error
        except UnicodeEncodeError as error:
            raise _not_storable(error) from error

    def identify(self, id: str) -> None:
        """Store the identity of the data directory. Raises StoreError."""
        if id != self.id:
            with self.transaction() as connection:
                connection.execute(update(tables.facts).where(tables.facts.c.name == "stand").values(value=id))
            self.id = id

    async def finish(self) -> None:
        """Do nothing: `close` finishes all writes."""

    def close(self) -> None:
        """Finish all writes and close. Nothing may be read or written afterwards."""
        self._writer.close()
        self._reader.close()
        self._connection.close()
        self._engine.dispose()

    def _fact(self, name: str) -> str:
        """Return a UUID that this data directory keeps for good."""
        row = tables.facts
        with self.transaction() as connection:
            value = connection.scalar(select(row.c.value).where(row.c.name == name))
            if value is None:
                value = str(uuid.uuid4())
                connection.execute(insert(row).values(name=name, value=value))
        return value


def upgrade(connection: Connection, path: Path, steps: Sequence[Step] = STEPS) -> int:
    """Migrate a database to the newest version, one transaction a step, and keep a copy of the old one beside it.

    Args:
        connection: Of the database.
        path: Its file.
        steps: The migrations.

    Returns:
        The version.

    Raises:
        Conflict: The database is of a later version than this program knows.
    """
    version = _version(connection)
    if version > len(steps):
        raise Conflict(
            f"{path} is of version {version} and this program knows {len(steps)}: use the newer one, or "
            "another folder: bananastand up --data FOLDER"
        )
    if 0 < version < len(steps):
        _copy(path, path.with_name(f"{path.name}.version-{version}"))
    for number, step in enumerate(steps[version:], version + 1):
        with connection.begin():
            step(connection)
            connection.execute(text(f"PRAGMA user_version = {number}"))
    return len(steps)


def _version(connection: Connection) -> int:
    with connection.begin():
        connection.execute(text("SELECT count(*) FROM sqlite_master"))  # fails for a file that is no database
        return int(connection.execute(text("PRAGMA user_version")).scalar_one())


def _copy(path: Path, to: Path) -> None:
    """Copy a database with what is still in its WAL."""
    to.unlink(missing_ok=True)
    os.close(open_private(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def _prepare(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # we send BEGIN, so that a change of tables is in its transaction too
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    if not driver_of(connection).in_transaction:  # as in one of `committed`
        connection.exec_driver_sql("BEGIN")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _mark_retrieved(task: asyncio.Task[None]) -> None:
    """Keep asyncio from logging an error that nobody has awaited: what follows is written in another way."""
    if not task.cancelled():
        task.exception()


def _not_storable(error: UnicodeEncodeError) -> Refused:
    return Refused(f"a text has half of a character in it, {ascii(error.object[error.start])}: send the whole pair")


def _as_store_error(error: Exception, path: Path) -> StoreError:
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorcode", None)
    if (code is not None and code & 0xFF == sqlite3.SQLITE_FULL) or getattr(cause, "errno", None) == errno.ENOSPC:
        return StoreFull("the disk is full: free some space, nothing new is taken until then")
    if is_locked(error):
        return StoreError(f"the database {path} is locked by another program: end that one, and try again")
    return StoreError(f"the database {path} failed: {cause}")
