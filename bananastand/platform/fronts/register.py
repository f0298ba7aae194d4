"""The tables by which fronts find each other, and the check that they fit together.

The tables do not belong to the platform's schema: a front reads them before it may migrate anything.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import Conflict, StoreError
from .rows import FrontRow

if TYPE_CHECKING:  # PostgreSQL's driver is imported by those who use it
    from psycopg import AsyncConnection

__all__ = [
    "PROTOCOL",
    "Registration",
    "address_of",
    "check_server",
    "check_skew",
    "create_tables",
    "list_fronts",
    "register",
    "unreachable",
]

PROTOCOL = 1  # of what fronts say to each other
OLDEST = 140_000  # PostgreSQL 14, the first with idle_session_timeout
ADVICE = {  # by the code of the error, see PostgreSQL's appendix A
    "25006": "it accepts no writes: name the primary server, in a database that is not read-only",
    "3F000": "let the role create tables: GRANT USAGE, CREATE ON SCHEMA public TO the role, or make it the owner",
    "42501": "let the role create tables: GRANT USAGE, CREATE ON SCHEMA public TO the role, or make it the owner",
}
GONE = 10.0  # seconds after its last sign of life in which a front is listed
LOCK = 1650553457  # the first key of the lock under which one front at a time creates the tables

TABLES = """
CREATE TABLE IF NOT EXISTS fronts (
    id text PRIMARY KEY, name text NOT NULL, url text NOT NULL, version text NOT NULL,
    schema_version integer NOT NULL, protocol integer NOT NULL,
    started timestamptz NOT NULL DEFAULT clock_timestamp(), seen timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE IF NOT EXISTS active_front (
    single boolean PRIMARY KEY DEFAULT true CHECK (single), epoch bigint NOT NULL, front text NOT NULL,
    name text NOT NULL, url text NOT NULL, ready boolean NOT NULL, since timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS front_authority (
    single boolean PRIMARY KEY DEFAULT true CHECK (single), certificate text NOT NULL, key text NOT NULL
);
"""
OTHERS = (
    "SELECT name, url, version, schema_version, protocol FROM fronts "
    "WHERE id <> %s AND seen > clock_timestamp() - make_interval(secs => %s) ORDER BY started"
)
REGISTER = (
    "INSERT INTO fronts (id, name, url, version, schema_version, protocol) VALUES (%s, %s, %s, %s, %s, %s) "
    "ON CONFLICT (id) DO UPDATE SET seen = clock_timestamp()"
)
LIST = (
    "SELECT f.name, f.url, f.version, a.front IS NOT NULL AS active, extract(epoch FROM f.started)::float8, "
    "extract(epoch FROM clock_timestamp() - f.seen)::float8 FROM fronts f LEFT JOIN active_front a ON a.front = f.id "
    "WHERE f.seen > clock_timestamp() - make_interval(secs => %s) ORDER BY f.started"
)


@dataclass(frozen=True, slots=True)
class Registration:
    """What a front says of itself.

    Attributes:
        id: A UUID of this run of it.
        name: For people.
        url: At which other fronts reach it.
        version: Of Bananastand.
        schema: The version of the database's schema that it works with.
    """

    id: str
    name: str
    url: str
    version: str
    schema: int

    @classmethod
    def new(cls, name: str, url: str, version: str, schema: int) -> Registration:
        """Return the registration of a front that starts."""
        return cls(str(uuid.uuid4()), name, url, version, schema)


def check_server(connection: AsyncConnection[Any]) -> None:
    """Raise Conflict for a server that is too old, and for a database that does not hold every text."""
    about = connection.info
    if about.server_version < OLDEST:
        raise Conflict(f"the server runs PostgreSQL {about.server_version // 10_000}: version 14 or newer is needed")
    if (encoding := about.parameter_status("server_encoding")) != "UTF8":
        raise Conflict(
            f"the database has the encoding {encoding}: use one made with CREATE DATABASE name ENCODING 'UTF8' "
            "TEMPLATE template0"
        )


async def create_tables(connection: AsyncConnection[Any]) -> None:
    """Create the tables where they do not exist; one front at a time does."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(current_schema()))", (LOCK,))
        await connection.execute("SET LOCAL client_min_messages = warning")  # that a table exists
        await connection.execute(TABLES)


async def check_skew(connection: AsyncConnection[Any], own: Registration) -> None:
    """Compare this front with those that run. Raises Conflict where they do not fit together."""
    for name, url, version, schema, protocol in await _rows(connection, OTHERS, (own.id, GONE)):
        if (schema, protocol) != (own.schema, PROTOCOL):
            raise Conflict(
                f"the front {name} ({url}) runs version {version} with schema {schema} on this database, and this is "
                f"version {own.version} with schema {own.schema}: start the same version here, or stop all fronts, "
                "upgrade them, and start them again"
            )


async def register(connection: AsyncConnection[Any], own: Registration) -> None:
    """Write the front's row, and delete those of fronts that are gone."""
    row = (own.id, own.name, own.url, own.version, own.schema, PROTOCOL)
    await connection.execute(REGISTER, row)
    await connection.execute("DELETE FROM fronts WHERE seen < clock_timestamp() - interval '1 day'")


async def list_fronts(connection: AsyncConnection[Any]) -> list[FrontRow]:
    """Return all fronts that run, in the order of their starts."""
    return [FrontRow(*row) for row in await _rows(connection, LIST, (GONE,))]


async def _rows(connection: AsyncConnection[Any], query: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(query, parameters)  # pyright: ignore[reportArgumentType]
    return await cursor.fetchall()


def unreachable(error: BaseException) -> StoreError:
    """Return the error for a database that cannot be reached, without the password of its address."""
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    if (advice := ADVICE.get(str(getattr(error, "sqlstate", None)))) is not None:
        return StoreError(f"the database cannot be used ({reason}): {advice}")
    return StoreError(f"the database cannot be reached: {reason}")


def address_of(url: str) -> tuple[str, int]:
    """Return host and port of a front's URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 443
