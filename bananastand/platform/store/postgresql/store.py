"""The database in PostgreSQL, over SQLAlchemy and psycopg.

The rows of calls are read and written through a pool of asynchronous connections, so that the event loop never waits
for the server. The other rows are in memory (`mirror`): a transaction changes them at once and is written in order by a
task, which tries again until the server has it. Nobody is acknowledged before: `flush` waits for that, and what is
written to the rows of calls waits for it too. One front at a time may change anything (`session`).
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeVar
from urllib.parse import unquote

from sqlalchemy import URL, Connection, create_engine, event, func, make_url, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ...errors import Conflict, Refused, StoreError
from .. import tables
from ..database import STEPS, Step
from ..store import Store
from .batches import DEADLINE, Batches
from .errors import FAILURES, as_store_error, is_temporary
from .mirror import Change, Mirror, replay
from .schema import upgrade_schema
from .session import Session, check_number

__all__ = ["PostgresStore", "connection_parameters", "server_url"]

log = logging.getLogger("bananastand.platform")

CONNECTIONS = 8  # one of them writes, the others read
POOL_TIMEOUT = 10.0  # seconds that a statement waits for a connection
STATEMENT_TIMEOUT = 30  # seconds
CONNECT_TIMEOUT = 5  # seconds
LOCK_SECONDS = 5.0  # that a start waits for an earlier front to be gone
FLUSH_SECONDS = 10.0  # that whoever made a change waits for it to be written
RETRY_SECONDS = (0.05, 0.2, 0.5, 1.0)  # before a change is tried again; the last one from then on
LOST = "another front has taken over the database {}: this one changes nothing more"
PARAMETER = re.compile(r"(?<!:):(\w+)")

T = TypeVar("T")


@dataclass(slots=True)
class _Waiting:
    """A change that is in memory and has yet to be written."""

    change: Change
    done: asyncio.Future[None]


class PostgresStore(Store):
    """A database of PostgreSQL.

    A new one reads nothing and changes nothing until it has the lock of the active front, by `take_lock` or
    `hold_lock`.

    Args:
        url: Such as postgresql://user:password@host/name.
        steps: The migrations.

    Raises:
        Refused: The URL is invalid, or psycopg is not installed.
        StoreError: The server does not answer.
        Conflict: The database is newer than this program.
    """

    def __init__(self, url: str, steps: Sequence[Step] = STEPS) -> None:
        address = server_url(url)
        self.server = f"{address.host or 'localhost'}/{address.database or ''}"
        self._url = address
        self.opener = create_engine(address, poolclass=NullPool, connect_args=_options(address))
        with self._translated_errors(), self.opener.begin() as connection:
            upgrade_schema(connection, steps, self.server)
            schema = connection.scalar(select(func.hashtext(func.current_schema())))
            self.id, self.team = _fact(connection, "stand"), _fact(connection, "team")
        fronts = f"bananastand {schema} "
        self._name = f"{fronts}{uuid.uuid4().hex[:12]}"
        self.session = Session(self.opener, fronts, self._name)
        self._mirror = Mirror()
        self._waiting: deque[_Waiting] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._batches: tuple[Batches, Batches] | None = None
        self._readings = set[asyncio.Future[Any]]()
        self._problem: StoreError | None = None  # why the oldest change is not written yet

    def take_lock(self) -> None:
        """Become the active front, and read the rows. Blocks. Raises Conflict if another front is active."""
        if not self.session.try_lock(LOCK_SECONDS):
            raise Conflict(f"another platform runs on the database {self.server}: stop it, or use another database")
        self._load()

    async def hold_lock(self) -> None:
        """Wait until this is the active front, and read the rows. Raises StoreError."""
        await self.session.lock()
        await asyncio.to_thread(self._load)

    def listen(self, channel: str, callback: Callable[[str], None]) -> None:
        """Have `callback` called on this event loop with the payload of every notification of a channel.

        Notifications are lost while the server cannot be reached: after every new connection `callback` gets "".
        """
        self.session.listen(channel, callback)

    async def notify(self, channel: str, payload: str) -> None:
        """Notify all that listen; the payload has at most 7,999 bytes. Raises StoreError."""
        await self._write(
            lambda connection: connection.execute(select(func.pg_notify(channel, payload))), durable=False
        )

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Generator[Connection]:
        """Run the block over the rows in memory. The task writes it; without an event loop, it is written at once."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        with self._mirror.transaction() as (connection, change):
            yield connection
            if loop is None and change:
                with self._translated_errors(), self.opener.begin() as server:
                    replay(server, change)
        if loop is not None and change:
            self._waiting.append(_Waiting(change, loop.create_future()))
            if self._writer is None or self._writer.done():
                self._writer = loop.create_task(self._write_changes())

    def reading(self) -> Any:
        """Read the rows in memory."""
        return self._mirror.reading()

    @property
    def is_flushed(self) -> bool:
        """Whether all changes are written."""
        return not self._waiting

    async def flush(self) -> None:
        """Wait until all changes so far are written. Raises StoreError: they still have to be, or one is lost."""
        if not self._waiting:
            return
        done = self._waiting[-1].done
        if self.session.is_lost:
            raise StoreError(LOST.format(self.server))
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await asyncio.shield(done)
        except TimeoutError:
            raise self._problem or StoreError(
                f"the database {self.server} is slow: the change is written later"
            ) from None

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Read with `work`. Raises StoreError."""
        await self.flush()
        reading = asyncio.ensure_future(self._read(work))
        self._readings.add(reading)
        reading.add_done_callback(self._readings.discard)
        return await asyncio.shield(reading)  # a caller who leaves does not break the connection

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction, durably."""
        return await self.write_short(work)

    async def write_short(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Run `work` in a transaction, which waits for the server's disk if it is durable."""
        await self.flush()
        return await self._write(work, durable=durable)

    def write_now(self, work: Callable[[Connection], T]) -> tuple[bool, Any]:
        """Write nothing: a server is never written to at once."""
        return False, None

    async def sync(self) -> None:
        """Wait until all that is committed is on the server's disk, as a later durable commit is."""
        await self._write(lambda connection: connection.execute(text("SELECT pg_logical_emit_message(true, '', '')")))

    def execute(self, connection: Connection, statement: str, row: Mapping[str, Any]) -> int:
        """Execute one statement without compiling it, and return how many rows it has changed."""
        return connection.exec_driver_sql(_for_psycopg(statement), dict(row)).rowcount

    def insert(self, connection: Connection, statement: str, row: Mapping[str, Any]) -> int:
        """Execute an INSERT without compiling it, and return the number of the new row."""
        return int(connection.exec_driver_sql(f"{_for_psycopg(statement)} RETURNING number", dict(row)).scalar_one())

    async def finish(self) -> None:
        """Write the changes that wait, and close the connections of this event loop. Raises StoreError."""
        try:
            await self.flush()
        finally:
            if self._writer is not None:
                self._writer.cancel()
                await asyncio.wait({self._writer})
            for batches in self._pools():
                await batches.close()
            for reading in self._readings:
                reading.cancel()
            await asyncio.gather(*self._readings, return_exceptions=True)
            for batches in self._pools():
                await batches.engine.dispose()

    def close(self) -> None:
        """Give up the lock, and close."""
        self.session.close()
        self._mirror.close()
        self.opener.dispose()

    def _load(self) -> None:
        with self._translated_errors(), self.opener.connect() as connection:
            self._mirror.load(connection)

    async def _write_changes(self) -> None:
        """Write what waits, in order, each as one transaction."""
        tries = 0
        while self._waiting:
            oldest = self._waiting[0]
            problem = None
            try:
                await self._write(lambda connection, change=oldest.change: replay(connection, change))
            except StoreError as error:
                problem = error
                if error.__cause__ is None or is_temporary(error.__cause__):  # type: ignore[arg-type]
                    self._problem = error
                    await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
                    tries += 1
                    continue
                log.exception("a change cannot be written, and is lost: restart the platform")
            self._waiting.popleft()
            self._problem, tries = None, 0
            if problem is not None:
                oldest.done.set_exception(problem)
                oldest.done.exception()  # it is logged
            else:
                oldest.done.set_result(None)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        durable, _ = self._pools()
        with self._translated_errors():
            engine = durable.engine.execution_options(isolation_level="AUTOCOMMIT")
            async with asyncio.timeout(DEADLINE), engine.connect() as connection:
                return await connection.run_sync(work)

    async def _write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        pool = self._pools()[0 if durable else 1]
        with self._translated_errors():
            return await pool.write(work)

    def _pools(self) -> tuple[Batches, Batches]:
        """Return what writes durably, and what writes so that a power cut may undo it."""
        if self._batches is None:
            self._batches = Batches(self._engine(CONNECTIONS, durable=True)), Batches(self._engine(1, durable=False))
        return self._batches

    def _engine(self, connections: int, *, durable: bool) -> AsyncEngine:
        options = _options(self._url, application_name=self._name)
        if not durable:
            options["options"] += " -c synchronous_commit=off"
        engine = create_async_engine(
            self._url, connect_args=options, pool_size=connections, max_overflow=0, pool_timeout=POOL_TIMEOUT
        )
        if durable:
            event.listen(engine.sync_engine, "connect", _commit_durably)
        event.listen(engine.sync_engine, "connect", self._check_front)
        return engine

    def _check_front(self, driver: Any, record: Any) -> None:
        """Refuse a new connection once another front is active: it has ended all earlier ones."""
        if self.session.number is not None and not check_number(driver, self.session.number):
            driver.close()
            raise StoreError(LOST.format(self.server))

    @contextmanager
    def _translated_errors(self) -> Generator[None]:
        try:
            yield
        except FAILURES as error:
            raise as_store_error(error, self.server) from error
        except UnicodeEncodeError as error:
            half = ascii(error.object[error.start])
            raise Refused(f"a text has half of a character in it, {half}: send the whole pair") from error


def _commit_durably(driver: Any, record: Any) -> None:
    """Wait for the server's disk at commits, also where its configuration says `off`; stronger settings stay."""
    cursor = driver.cursor()
    try:
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
    finally:
        cursor.close()
        driver.commit()


def server_url(url: str) -> URL:
    """Return the URL of a PostgreSQL database for SQLAlchemy. Raises Refused."""
    if any(find_spec(package) is None for package in ("greenlet", "psycopg")):
        raise Refused("PostgreSQL needs a driver: pip install 'bananastand[postgresql]'")
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise Refused(
            "the database must be a URL such as postgresql://user@host/name; in a password, write / as %2F and @ as %40"
        ) from None
    if "\0" in unquote(url) or (address.port is not None and address.port > 65_535):
        raise Refused("the database's URL has a NUL character or a port above 65535")
    if address.drivername not in ("postgresql", "postgres"):
        raise Refused(f"the database must be a URL that begins with postgresql://, not {address.drivername}://")
    return address.set(drivername="postgresql+psycopg")


def connection_parameters(url: str) -> dict[str, Any]:
    """Return a database's URL as the driver's own parameters, the password among them. Raises Refused."""
    address = server_url(url)
    return dict(address.get_dialect()().create_connect_args(address)[1])


def _options(url: URL, application_name: str = "bananastand") -> dict[str, Any]:
    """Return how to connect. Options of the URL come last, and so they count."""
    own = f"-c statement_timeout={STATEMENT_TIMEOUT}s -c lock_timeout={STATEMENT_TIMEOUT}s -c timezone=UTC"
    options = {
        "connect_timeout": CONNECT_TIMEOUT, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }  # fmt: skip
    options = {name: value for name, value in options.items() if name not in url.query}
    return {**options, "application_name": application_name, "options": f"{own} {url.query.get('options', '')}".strip()}


@cache
def _for_psycopg(statement: str) -> str:
    return PARAMETER.sub(r"%(\1)s", statement.replace("%", "%%"))


def _fact(connection: Connection, name: str) -> str:
    """Return a UUID that the database keeps for good."""
    table = tables.facts
    connection.execute(insert(table).values(name=name, value=str(uuid.uuid4())).on_conflict_do_nothing())
    return str(connection.scalar(select(table.c.value).where(table.c.name == name)))
