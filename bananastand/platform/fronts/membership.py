"""This front among the others: its registration, and which front is active.

Who may be active is decided by the store's session, which holds a lock; the front that has it writes here where it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from ..errors import StoreError
from ..store.postgresql.store import connection_parameters
from .authority import Authority, shared_authority
from .register import Registration, check_server, check_skew, create_tables, list_fronts, register, unreachable
from .rows import FrontRow

__all__ = ["Leader", "Membership"]

log = logging.getLogger("bananastand.platform")

WATCH_SECONDS = 0.2  # between two looks
SEEN_SECONDS = 2.0  # between two signs of life
STOP_SECONDS = 0.5  # for a query to end
SILENT_SECONDS = 3.0  # after which the database is taken to be lost
CONNECTION = {
    "connect_timeout": 3, "keepalives_idle": 1, "keepalives_interval": 1, "keepalives_count": 2,
    "tcp_user_timeout": 3000, "application_name": "bananastand-front",
}  # fmt: skip

LOOK = "SELECT epoch, front, name, url, ready FROM active_front"
SEEN = "UPDATE fronts SET seen = clock_timestamp() WHERE id = %s"
LEAVE = "DELETE FROM fronts WHERE id = %s"
LEAD = """
INSERT INTO active_front (epoch, front, name, url, ready, since)
VALUES (%(epoch)s, %(front)s, %(name)s, %(url)s, %(ready)s, clock_timestamp())
ON CONFLICT (single) DO UPDATE SET epoch = excluded.epoch, front = excluded.front, name = excluded.name,
url = excluded.url, ready = excluded.ready, since = excluded.since WHERE active_front.epoch <= excluded.epoch
"""


@dataclass(frozen=True, slots=True)
class Leader:
    """The active front.

    Attributes:
        epoch: Grows with every front that becomes active.
        front: Its id.
        name: Its name, for people.
        url: At which other fronts reach it.
        ready: Whether it serves; false as well for one that stops.
    """

    epoch: int
    front: str
    name: str
    url: str
    ready: bool


class Membership:
    """This front among the others.

    Args:
        database: The database's URL.
        own: Which front this is.

    Raises:
        Refused: The URL is invalid, or psycopg is not installed.

    Attributes:
        leader: The front that was seen to be active last; None before the first.
        problem: Why the database cannot be reached; None while it can.
        revision: Grows with every change of these.
    """

    def __init__(self, database: str, own: Registration) -> None:
        self._parameters, self.own = connection_parameters(database), own
        self.leader: Leader | None = None
        self.problem: str | None = None
        self.revision = 0
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._seen = 0.0
        self._changed: asyncio.Future[None] | None = None

    async def open(self) -> Authority:
        """Connect and register, and return the fronts' authority.

        Raises:
            StoreError: The database cannot be reached.
            Conflict: The other fronts run another version, or the server cannot be used.
        """
        try:
            await self._connect()
            return await shared_authority(self._required())
        except (psycopg.Error, OSError) as error:
            raise unreachable(error) from error

    async def changed(self, since: int) -> None:
        """Wait until the revision is another one than `since`."""
        while self.revision == since:
            if self._changed is None or self._changed.done():
                self._changed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._changed)

    def announce(self) -> None:
        """Count the revision up, because something has changed that others wait for."""
        self.revision += 1
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def run(self) -> None:
        """Watch who is active, and give signs of life, until cancelled."""
        while True:
            try:
                await self._bounded(self._watch())
                if self.problem is not None:
                    log.warning("the database is reached again")
                    self.problem = None
                    self.announce()
            except (psycopg.Error, OSError, TimeoutError, StoreError) as error:
                await self._disconnected(error)
            await asyncio.sleep(WATCH_SECONDS)

    async def lead(self, epoch: int, *, ready: bool) -> None:
        """Write that this front is the active one. Raises StoreError."""
        own = self.own
        row = {"epoch": epoch, "front": own.id, "name": own.name, "url": own.url, "ready": ready}
        try:
            await self._required().execute(LEAD, row)
        except psycopg.Error as error:
            raise unreachable(error) from error
        self.leader = Leader(epoch, own.id, own.name, own.url, ready)
        self.announce()

    async def fronts(self) -> list[FrontRow]:
        """Return all fronts that run. Raises StoreError."""
        try:
            return await list_fronts(self._required())
        except psycopg.Error as error:
            raise unreachable(error) from error

    async def close(self) -> None:
        """Leave the others, and disconnect."""
        if (connection := self._connection) is None:
            return
        with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
            await self._bounded(connection.execute(LEAVE, (self.own.id,)))
        await connection.close()
        self._connection = None

    async def _connect(self) -> None:
        address = make_conninfo("", **{**self._parameters, **CONNECTION})
        connection = await psycopg.AsyncConnection[Any].connect(address, autocommit=True)
        try:
            check_server(connection)
            await connection.execute("SET synchronous_commit = off")  # a sign of life need not survive a power cut
            await create_tables(connection)
            await check_skew(connection, self.own)
            await register(connection, self.own)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection

    async def _watch(self) -> None:
        if self._connection is None:
            await self._connect()
        connection = self._required()
        row = await (await connection.execute(LOOK)).fetchone()
        found = Leader(*row) if row is not None else None
        if found != self.leader and not (found and self.leader and found.epoch < self.leader.epoch):
            self.leader = found
            self.announce()
        if (now := time.monotonic()) > self._seen + SEEN_SECONDS:
            await connection.execute(SEEN, (self.own.id,))
            self._seen = now

    async def _disconnected(self, error: BaseException) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        problem = str(error) if isinstance(error, StoreError) else str(unreachable(error))
        if problem != self.problem:
            log.warning("%s", problem)
            self.problem = problem
            self.announce()

    async def _bounded(self, work: Awaitable[Any]) -> None:
        """Wait for SILENT_SECONDS for work on the connection, which is cut then. Raises TimeoutError."""
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=SILENT_SECONDS)
            if done:
                task.result()
                return
        finally:
            if not task.done():  # not cancelled at once: the driver would cancel the query, too
                await asyncio.wait({task}, timeout=STOP_SECONDS)
                self._cut()
                await asyncio.wait({task}, timeout=STOP_SECONDS)
                task.cancel()
        raise TimeoutError("the database does not answer")

    def _cut(self) -> None:
        """Break the connection, so that whoever waits for it gets an error."""
        if self._connection is None or self._connection.closed:
            return
        with socket.socket(fileno=os.dup(self._connection.fileno())) as copy, contextlib.suppress(OSError):
            copy.shutdown(socket.SHUT_RDWR)

    def _required(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None:
            raise StoreError(self.problem or "the database cannot be reached")
        return self._connection
