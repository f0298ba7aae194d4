"""Keeps worlds in a file that survives restarts. Knows worlds only as JSON.

One row for each world, rewritten after each call that may have changed it and before that call is answered. SQLite from
the standard library: one table with two columns asks for no more.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from .errors import StateError
from .world import World
from .worlds import Worlds

__all__ = ["StateFile"]


class StateFile:
    """A SQLite file in WAL mode. Raises StateError where the file is something else."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS worlds (name TEXT PRIMARY KEY, state TEXT NOT NULL)")
        except sqlite3.DatabaseError as error:
            raise StateError(f"{path} is not a state file: {error}") from None

    def keep(self, world: World) -> None:
        """Write a world."""
        state = json.dumps(world.dump(), ensure_ascii=False)
        self._connection.execute("INSERT OR REPLACE INTO worlds VALUES (?, ?)", (world.name, state))

    def forget(self, world: World) -> None:
        """A world is no more."""
        self._connection.execute("DELETE FROM worlds WHERE name = ?", (world.name,))

    def restore(self, worlds: Worlds) -> int:
        """Bring back every world of the file, and keep them from now on; how many there were."""
        rows = self._connection.execute("SELECT name, state FROM worlds ORDER BY rowid").fetchall()
        for name, state in rows:
            world = worlds.named(name) or worlds.create(name, kind="empty")
            worlds.restore(world, json.loads(state))
        worlds.keep, worlds.forget = self.keep, self.forget
        return len(rows)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
