"""Writes in the order of the requests, all that wait at a time in one transaction on one connection.

So a commit is shared by all that came while the one before it went to the disk, no two transactions wait for each
other's rows, and a caller who leaves cancels nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from ...errors import StoreError

__all__ = ["Batches"]

BATCH_SIZE = 100  # writes of one transaction at most
DEADLINE = 45.0  # seconds for a transaction with a server that stands still
CLOSE_SECONDS = 5.0  # for the last writes

Work = Callable[[Connection], Any]


@dataclass(slots=True)
class _Write:
    work: Work
    future: asyncio.Future[Any]
    result: Any = None


class Batches:
    """Runs writes, on the event loop of the first one.

    Attributes:
        engine: Makes connections.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._waiting: deque[_Write] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    async def write(self, work: Work) -> Any:
        """Run `work` in a transaction, and return its result once it is committed.

        Args:
            work: Called with the connection; a second time, alone, where its first transaction has failed.

        Raises:
            Exception: What the work or the server has raised.
            StoreError: The batches are closed.
        """
        if self._is_closed:
            raise StoreError("the database is closed: the platform stops")
        loop = asyncio.get_running_loop()
        write = _Write(work, loop.create_future())
        self._waiting.append(write)
        if self._task is None:
            self._task = loop.create_task(self._run())
        return await write.future

    async def close(self) -> None:
        """Finish all writes within CLOSE_SECONDS, and accept no more."""
        self._is_closed = True
        if (task := self._task) is not None:
            await asyncio.wait({task}, timeout=CLOSE_SECONDS)
            task.cancel()
            await asyncio.wait({task}, timeout=CLOSE_SECONDS)

    async def _run(self) -> None:
        try:
            await self._write_all()
        finally:
            self._task = None
            for write in self._waiting:
                _fail(write, StoreError("the database is closed: the platform stops"))

    async def _write_all(self) -> None:
        while self._waiting:
            writes = [self._waiting.popleft() for _ in range(min(BATCH_SIZE, len(self._waiting)))]
            try:
                await self._commit(writes)
            except asyncio.CancelledError:
                for write in writes:
                    _fail(write, StoreError("the platform stops: it is not known whether it is written"))
                raise
            except Exception as error:
                if len(writes) == 1:
                    _fail(writes[0], error)
                    continue
                for write in writes:  # so that one does not undo the others
                    try:
                        await self._commit([write])
                    except Exception as alone:
                        _fail(write, alone)

    async def _commit(self, writes: list[_Write]) -> None:
        async with asyncio.timeout(DEADLINE), self.engine.begin() as connection:
            await connection.run_sync(_execute, writes)
        for write in writes:
            if not write.future.done():
                write.future.set_result(write.result)


def _execute(connection: Connection, writes: list[_Write]) -> None:
    for write in writes:
        write.result = write.work(connection)


def _fail(write: _Write, error: Exception) -> None:
    if not write.future.done():
        write.future.set_exception(error)
