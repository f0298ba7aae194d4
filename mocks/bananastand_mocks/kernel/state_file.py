"""Keeps worlds in a file that survives restarts. Knows worlds only as JSON and blobs.

A world is written after each call that changed it and before that call is answered: one row, and a row for each blob
that is new. SQLite from the standard library: two tables of two and three columns ask for no more.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

from .errors import StateError
from .world import World
from .worlds import Worlds

__all__ = ["StateFile"]

TABLES = (
    "CREATE TABLE IF NOT EXISTS worlds (name TEXT PRIMARY KEY, state TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS blobs (world TEXT, name TEXT, blob BLOB NOT NULL, PRIMARY KEY (world, name))",
)


class StateFile:
    """A SQLite file in WAL mode, which a killed process leaves whole. Raises StateError where it cannot be one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: dict[str, bytes] = {}
        self._blobs: dict[str, dict[str, bytes]] = {}
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            for table in TABLES:
                self._connection.execute(table)
        except sqlite3.DatabaseError as error:
            raise StateError(f"{path} is not a state file: {error}") from None

    def keep(self, world: World) -> None:
        """Write a world, where it has changed."""
        state = json.dumps(world.dump(blobs=False), ensure_ascii=False)
        digest = hashlib.blake2b(state.encode("utf-8", "surrogatepass")).digest()
        known = self._blobs.get(world.name, {})
        new = {name: blob for name, blob in world.blobs.items() if known.get(name) is not blob}
        gone = known.keys() - world.blobs.keys()
        if digest == self._written.get(world.name) and not new and not gone:
            return
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.execute("INSERT OR REPLACE INTO worlds VALUES (?, ?)", (world.name, state))
            for name, blob in new.items():
                self._connection.execute("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)", (world.name, name, blob))
            for name in gone:
                self._connection.execute("DELETE FROM blobs WHERE world = ? AND name = ?", (world.name, name))
        self._written[world.name], self._blobs[world.name] = digest, dict(world.blobs)

    def forget(self, world: World) -> None:
        """A world is no more."""
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.execute("DELETE FROM worlds WHERE name = ?", (world.name,))
            self._connection.execute("DELETE FROM blobs WHERE world = ?", (world.name,))
        self._written.pop(world.name, None)
        self._blobs.pop(world.name, None)

    def restore(self, worlds: Worlds) -> int:
        """Bring back every world of the file, and keep them from now on; how many there were. Raises StateError."""
        try:
            rows = self._connection.execute("SELECT name, state FROM worlds ORDER BY rowid").fetchall()
            for name, state in rows:
                self._restore(worlds, name, json.loads(state))
        except (sqlite3.DatabaseError, ValueError) as error:
            raise StateError(f"{self._path}: {error}") from None
        worlds.keep, worlds.forget = self.keep, self.forget
        return len(rows)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _restore(self, worlds: Worlds, name: str, state: object) -> None:
        world = worlds.named(name) or worlds.create(name, kind="empty")
        if not isinstance(state, dict):
            raise StateError(f"the world {name} is no object")
        worlds.restore(world, state)
        found = self._connection.execute("SELECT name, blob FROM blobs WHERE world = ?", (name,)).fetchall()
        world.blobs |= dict(found)
        self._blobs[name] = dict(found)
