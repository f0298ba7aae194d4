"""The tables of a PostgreSQL database: created at the newest version, and migrated from there on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, func, insert, inspect, select, text, update

from ...errors import Conflict
from .. import tables

__all__ = ["is_empty", "upgrade_schema"]

UPGRADE = 1650553455  # the first key of the lock under which one program at a time migrates
VERSION = Table("schema_version", MetaData(), Column("number", BigInteger, nullable=False))

Step = Callable[[Connection], None]


def upgrade_schema(connection: Connection, steps: Sequence[Step], server: str) -> None:
    """Create the tables, or migrate them to the newest version, in the transaction of the connection.

    Args:
        connection: Of the database.
        steps: All migrations; a new database needs none of them.
        server: The server's name for people to read.

    Raises:
        Conflict: The database is of a later version than this program knows, or has other tables.
    """
    connection.execute(text(f"SELECT pg_advisory_xact_lock({UPGRADE}, hashtext(current_schema()))"))
    names = set(inspect(connection).get_table_names())
    if VERSION.name not in names:
        if others := names & tables.METADATA.tables.keys():
            raise Conflict(
                f"the database {server} has tables of another program ({', '.join(sorted(others))}): name an empty one"
            )
        VERSION.create(connection)
        tables.METADATA.create_all(connection)
        connection.execute(insert(VERSION).values(number=len(steps)))
        return
    version = connection.scalar(select(VERSION.c.number)) or 0
    if version > len(steps):
        raise Conflict(
            f"the database {server} is of version {version} and this program knows {len(steps)}: use the newer one, or "
            "another database"
        )
    for step in steps[version:]:
        step(connection)
    if version < len(steps):
        connection.execute(update(VERSION).values(number=len(steps)))


def is_empty(connection: Connection) -> bool:
    """Return whether no table has a row, but for facts."""
    return not any(
        connection.scalar(select(func.count()).select_from(table.select().limit(1).subquery()))
        for table in tables.METADATA.sorted_tables
        if table is not tables.facts
    )
