"""Counts in PostgreSQL itself how often the row of each call got an end: what no front can hide."""

from __future__ import annotations

from typing import Self

import psycopg

__all__ = ["Ends"]

COUNT = """
CREATE TABLE IF NOT EXISTS ends (call text, state text, at timestamptz DEFAULT clock_timestamp());
CREATE OR REPLACE FUNCTION count_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.finished IS NOT NULL THEN INSERT INTO ends (call, state) VALUES (NEW.id, NEW.state); END IF;
    RETURN NEW; END $$;
CREATE OR REPLACE TRIGGER count_end AFTER UPDATE ON calls FOR EACH ROW EXECUTE FUNCTION count_end();
"""


class Ends:
    """The ends of the calls of a database, from now on."""

    def __init__(self, database: str) -> None:
        self._connection = psycopg.connect(database, autocommit=True)
        self._connection.execute(COUNT)
        self._connection.execute("DELETE FROM ends")

    def counts(self) -> dict[str, int]:
        """How often each call ended."""
        return dict(self._connection.execute("SELECT call, count(*) FROM ends GROUP BY call").fetchall())

    def unfinished(self) -> int:
        """How many calls have no end yet."""
        return self._connection.execute("SELECT count(*) FROM calls WHERE finished IS NULL").fetchall()[0][0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
