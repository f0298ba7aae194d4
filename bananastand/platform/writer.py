"""Writes to the database on a thread of its own, in the order in which they were asked for, several to a transaction.

Knows no table. The event loop waits for a write without being held up by it: not by a slow disk, and not by another
program that has locked the database.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from .errors import StoreError

__all__ = ["Writer", "is_locked"]

PATIENCE = 10.0  # seconds that a write waits for another program's lock
AGAIN = 0.02  # seconds between two tries
MOST = 200  # writes of one transaction
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
        try:
            with self._connection.begin():
                if len(writes) == 1:
                    writes[0].result = writes[0].work(self._connection)
                else:
                    for each in writes:
                        self._run(each)
        except BaseException as error:
            if isinstance(error, DBAPIError) and is_locked(error):
                until = time.monotonic() - PATIENCE
                writes_left = [each for each in writes if each.asked > until]
            else:
                writes_left = []
            for each in writes:
                each.result = None
                if each not in writes_left and each.error is None:
                    each.error = error
            return writes_left
        return []

    def _run(self, write: _Write) -> None:
        """One of several: what it fails at leaves the others as they are."""
        try:
            with self._connection.begin_nested():
                write.result = write.work(self._connection)
        except DBAPIError as error:
            if is_locked(error) or error.connection_invalidated or not self._connection.in_transaction():
                raise
            write.error = error
        except Exception as error:
            write.error = error

    @staticmethod
    def _report(writes: list[_Write]) -> None:
        loops = {each.loop for each in writes}
        for loop in loops:
            of_loop = [each for each in writes if each.loop is loop]
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(_resolve, of_loop)


def is_locked(error: DBAPIError) -> bool:
    """Whether another program, or another connection, has the database locked."""
    return (getattr(error.orig, "sqlite_errorcode", 0) & 0xFF) in (BUSY, LOCKED)


def _resolve(writes: list[_Write]) -> None:
    for each in writes:
        if each.future.done():
            continue
        if each.error is not None:
            each.future.set_exception(each.error)
        else:
            each.future.set_result(each.result)
