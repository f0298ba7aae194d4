"""Writes to the database on a thread of its own, in the order in which they were asked for, several to a transaction.

Knows no table. The event loop waits for a write without being held up by it: not by a slow disk, and not by another
program that has locked the database.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from ..errors import StoreError

__all__ = ["Writer", "checkpoint", "committed", "driver_of", "is_locked"]

PATIENCE = 10.0  # seconds that a write waits for another program's lock
AGAIN = 0.02  # seconds between two tries
MOST = 200  # writes of one transaction
COMMITS = 300  # between two checkpoints: a thousand pages, about
BUSY, LOCKED = 5, 6  # SQLite's codes

Work = Callable[[Connection], Any]


@dataclass(slots=True)
class _Write:
    work: Work
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    asked: float
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Has one connection.

    Args:
        connection: To write with; nobody else may use it.
        lock: Held while a transaction is open, by all of this process who write.
    """

    def __init__(self, connection: Connection, lock: threading.Lock) -> None:
        self._connection, self._lock = connection, lock
        self._waiting: deque[_Write] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    async def write(self, work: Work) -> Any:
        """What the work returns, once it is committed. Raises what the work raised, DBAPIError, StoreError."""
        loop = asyncio.get_running_loop()
        write = _Write(work, loop, loop.create_future(), time.monotonic())
        with self._changed:
            if self._closed:
                raise StoreError("the database is closed: the platform stops")
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="database", daemon=True)
                self._thread.start()
            self._waiting.append(write)
            self._changed.notify()
        return await write.future

    @property
    def is_busy(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._waiting)

    def close(self) -> None:
        """Do what was asked for, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        while writes := self._next():
            while writes:
                with self._lock:
                    left = self._commit(writes)
                self._report([each for each in writes if each not in left])
                writes = left
                if writes:
                    time.sleep(AGAIN)

    def _next(self) -> list[_Write]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]

    def _commit(self, writes: list[_Write]) -> list[_Write]:
        """Commit all; returns those that are to be tried again, because another program holds the lock."""
        left = list[_Write]()
        try:
            with committed(self._connection):
                if len(writes) == 1:
                    writes[0].result = writes[0].work(self._connection)
                else:
                    for each in writes:
                        self._run(each)
            checkpoint(self._connection)
        except BaseException as error:
            if is_locked(error):
                until = time.monotonic() - PATIENCE
                left = [each for each in writes if each.asked > until]
            for each in writes:
                each.result, each.error = None, each.error if each not in left else None
                if each not in left and each.error is None:
                    each.error = error
        return left

    def _run(self, write: _Write) -> None:
        """One of several: what it fails at leaves the others as they are."""
        driver = driver_of(self._connection)
        driver.execute("SAVEPOINT one")
        try:
            write.result = write.work(self._connection)
        except Exception as error:
            if not driver.in_transaction:  # SQLite has given up all of it, as on a full disk
                raise
            driver.execute("ROLLBACK TO one")
            write.error = error
        driver.execute("RELEASE one")

    @staticmethod
    def _report(writes: list[_Write]) -> None:
        loops = {each.loop for each in writes}
        for loop in loops:
            of_loop = [each for each in writes if each.loop is loop]
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(_resolve, of_loop)


def driver_of(connection: Connection) -> sqlite3.Connection:
    """SQLite's own, past SQLAlchemy: several times as fast for what every call needs."""
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection), "an open connection has one of the driver's"
    return driver


@contextmanager
def committed(connection: Connection, *, durable: bool = True) -> Generator[None]:
    """A transaction: all or nothing. `durable` says whether it survives a power cut. Raises DBAPIError, sqlite3.Error.

    Statements may be executed by SQLAlchemy, or by the driver's connection.
    """
    driver = driver_of(connection)
    wanted = "FULL" if durable else "NORMAL"
    if connection.info.get("synchronous") != wanted:
        driver.execute(f"PRAGMA synchronous = {wanted}")
        connection.info["synchronous"] = wanted
    driver.execute("BEGIN IMMEDIATE")
    try:
        yield
        driver.commit()
    finally:
        if connection.in_transaction():  # as SQLAlchemy sees it
            connection.rollback()
        if driver.in_transaction:
            driver.rollback()


def checkpoint(connection: Connection) -> None:
    """Move what was written from the log to the database, now and then, off the event loop."""
    connection.info["commits"] = connection.info.get("commits", 0) + 1
    if connection.info["commits"] % COMMITS == 0:
        driver_of(connection).execute("PRAGMA wal_checkpoint(PASSIVE)")


def is_locked(error: BaseException) -> bool:
    """Whether another program, or another connection, has the database locked."""
    cause = getattr(error, "orig", None) or error
    return (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in (BUSY, LOCKED)


def _resolve(writes: list[_Write]) -> None:
    for each in writes:
        if each.future.done():
            continue
        if each.error is not None:
            each.future.set_exception(each.error)
        else:
            each.future.set_result(each.result)
