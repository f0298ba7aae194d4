"""Writes to the database on a thread of its own, in the order of the requests, several to a transaction.

Neither a slow disk nor another program that has locked the database blocks the event loop. The thread also waits for
the disk after commits that were made elsewhere: one sync of the WAL makes all commits before it durable.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ..errors import StoreError

__all__ = ["Writer", "committed", "driver_of", "is_locked"]

LOCK_TIMEOUT = 10.0  # seconds that a write waits for another program's lock
RETRY_SECONDS = 0.02  # between two tries
BATCH_SIZE = 200  # writes of one transaction at most
CHECKPOINT_COMMITS = 600  # between two checkpoints: about three thousand pages
BUSY, LOCKED = 5, 6  # SQLite's codes
sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync

Work = Callable[[Connection], Any]


@dataclass(slots=True)
class _Write:
    work: Work | None  # None for a commit that was made elsewhere
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    requested: float
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Runs writes on one thread with one connection.

    Args:
        connection: The connection to write with.
        lock: Held by this process's writers while a transaction is open.
        database: The database's file.
    """

    def __init__(self, connection: Connection, lock: threading.Lock, database: Path) -> None:
        self._connection, self._lock, self._database = connection, lock, database
        self._descriptor: int | None = None  # of the WAL
        self._has_sync_failed = False
        self._requests: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()  # None is the last one
        self._requested = self._begun = 0  # writes
        self._closed = False
        self._thread: threading.Thread | None = None

    async def write(self, work: Work) -> Any:
        """Run `work` and return its result once it is on the disk. Raises what it raised, DBAPIError, StoreError."""
        return await self._request(work)

    async def sync(self) -> None:
        """Wait until all commits that were made before are on the disk. Raises OSError, sqlite3.Error, StoreError."""
        await self._request(None)

    async def _request(self, work: Work | None) -> Any:
        loop = asyncio.get_running_loop()
        write = _Write(work, loop, loop.create_future(), time.monotonic())
        if self._closed:
            raise StoreError("the database is closed: the platform stops")
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="database", daemon=True)
            self._thread.start()
        self._requested += work is not None
        self._requests.put(write)
        return await write.future

    @property
    def is_busy(self) -> bool:
        """Whether a write waits."""
        return self._requested != self._begun

    def close(self) -> None:
        """Finish all writes and end the thread."""
        self._closed = True
        self._requests.put(None)
        if self._thread is not None:
            self._thread.join()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _serve(self) -> None:
        waiting, retries, is_last = deque[_Write](), list[_Write](), False
        while not is_last or waiting or retries:
            committed_elsewhere = list[_Write]()
            is_last |= self._receive(waiting, committed_elsewhere, wait=not waiting and not retries)
            writes = retries or self._begin(waiting)
            retries = list[_Write]()
            if writes:
                with self._lock:
                    retries = self._commit(writes)
            done = [write for write in writes if write not in retries] + committed_elsewhere
            self._sync(done)
            self._report(done)
            self._checkpoint()
            if retries:
                time.sleep(RETRY_SECONDS)

    def _receive(self, waiting: deque[_Write], committed_elsewhere: list[_Write], *, wait: bool) -> bool:
        """Add what was requested to the writes that wait, or to what is only synced; return whether that is all."""
        with suppress(queue.Empty):
            request = self._requests.get(wait)
            while request is not None:
                (committed_elsewhere if request.work is None else waiting).append(request)
                request = self._requests.get_nowait()
            return True
        return False

    def _begin(self, waiting: deque[_Write]) -> list[_Write]:
        writes = [waiting.popleft() for _ in range(min(BATCH_SIZE, len(waiting)))]
        self._begun += len(writes)
        return writes

    def _commit(self, writes: list[_Write]) -> list[_Write]:
        """Commit all; return those that are to be tried again, because another program holds the lock."""
        retries = list[_Write]()
        try:
            with committed(self._connection, durable=False):
                if len(writes) == 1:
                    _execute(writes[0], self._connection)
                else:
                    for write in writes:
                        self._run(write)
        except BaseException as error:
            if is_locked(error):
                earliest = time.monotonic() - LOCK_TIMEOUT
                retries = [write for write in writes if write.requested > earliest]
            for write in writes:
                write.result, write.error = None, write.error if write not in retries else None
                if write not in retries and write.error is None:
                    write.error = error
        return retries

    def _run(self, write: _Write) -> None:
        """Run one of several writes in a savepoint, so that its failure does not undo the others."""
        driver = driver_of(self._connection)
        driver.execute("SAVEPOINT one")
        try:
            _execute(write, self._connection)
        except Exception as error:
            if not driver.in_transaction:  # SQLite has given up all of it, as on a full disk
                raise
            driver.execute("ROLLBACK TO one")
            write.error = error
        driver.execute("RELEASE one")

    def _sync(self, writes: list[_Write]) -> None:
        """Sync the WAL for writes that were committed.

        A kernel reports a failed sync once and may forget the data: then all of the WAL goes to the database's file.
        """
        succeeded = [write for write in writes if write.error is None]
        if not succeeded:
            return
        try:
            if self._has_sync_failed:
                with self._lock:
                    _move_all(self._connection)
            else:
                self._has_sync_failed = True
                if self._descriptor is None:
                    self._descriptor = os.open(f"{self._database}-wal", os.O_RDONLY | os.O_CLOEXEC)
                sync_data(self._descriptor)
            self._has_sync_failed = False
        except (OSError, sqlite3.Error) as error:
            for write in succeeded:
                write.error = error

    def _checkpoint(self) -> None:
        """Move commits from the WAL to the database after every CHECKPOINT_COMMITS of them.

        While most of them are moved the others that write go on; the WAL begins anew only once all are moved.
        """
        if self._connection.info.get("commits", 0) < CHECKPOINT_COMMITS:
            return
        self._connection.info["commits"] = 0
        with suppress(sqlite3.Error):
            with closing(sqlite3.connect(self._database)) as other:
                _, commits, moved = other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if moved < commits:
                with self._lock:
                    driver_of(self._connection).execute("PRAGMA wal_checkpoint(PASSIVE)")

    @staticmethod
    def _report(writes: list[_Write]) -> None:
        for loop in {write.loop for write in writes}:
            of_loop = [write for write in writes if write.loop is loop]
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                loop.call_soon_threadsafe(_resolve, of_loop)


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Return sqlite3's own connection, which is several times as fast as SQLAlchemy for the writes of every call."""
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection), "an open connection has one of the driver's"
    return driver


@contextmanager
def committed(connection: Connection, *, durable: bool = True) -> Generator[None]:
    """Run the block in a transaction, whose statements SQLAlchemy or the driver's connection may execute.

    Args:
        connection: The connection.
        durable: Whether it survives a power cut.

    Raises:
        DBAPIError: SQLAlchemy failed; nothing is written.
        sqlite3.Error: The driver failed; nothing is written.
    """
    driver = driver_of(connection)
    synchronous = "FULL" if durable else "NORMAL"
    if connection.info.get("synchronous") != synchronous:
        driver.execute(f"PRAGMA synchronous = {synchronous}")
        connection.info["synchronous"] = synchronous
    driver.execute("BEGIN IMMEDIATE")
    try:
        yield
        driver.commit()
        connection.info["commits"] = connection.info.get("commits", 0) + 1
    finally:
        if connection.in_transaction():  # as SQLAlchemy sees it
            connection.rollback()
        if driver.in_transaction:
            driver.rollback()


def is_locked(error: BaseException) -> bool:
    """Return whether an error says that another program or connection has locked the database."""
    cause = getattr(error, "orig", None) or error
    return (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in (BUSY, LOCKED)


def _execute(write: _Write, connection: Connection) -> None:
    assert write.work is not None, "a request for a sync is no write"
    write.result = write.work(connection)


def _move_all(connection: Connection) -> None:
    """Move all commits to the database's file, durably. Raises sqlite3.Error."""
    is_blocked, _, _ = driver_of(connection).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_blocked:
        raise sqlite3.OperationalError("the disk has failed, and a reader keeps the WAL from being written anew")


def _resolve(writes: list[_Write]) -> None:
    for write in writes:
        if write.future.done():
            continue
        if write.error is not None:
            write.future.set_exception(write.error)
        else:
            write.future.set_result(write.result)
