"""Keeps worlds in a file that survives restarts. Knows worlds only as JSON.

One row for each world, rewritten after each call that may have changed it and before that call is answered; one for
each of its blobs, written once. SQLite from the standard library: two tables ask for no more.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
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
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS blobs"
                " (world TEXT NOT NULL, name TEXT NOT NULL, blob BLOB NOT NULL, PRIMARY KEY (world, name))"
            )
        except sqlite3.DatabaseError as error:
            raise StateError(f"{path} is not a state file: {error}") from None
        self._written: dict[str, dict[str, bytes]] = {}
        self._lock = threading.Lock()

    def keep(self, world: World) -> None:
        """Write a world, and what is new or gone of its blobs."""
        state = json.dumps(world.dump(blobs=False), ensure_ascii=False)
        blobs, written = dict(world.blobs), self._written.get(world.name, {})
        new = [(world.name, name, blob) for name, blob in blobs.items() if written.get(name) is not blob]
        gone = [(world.name, name) for name in written if name not in blobs]
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO worlds VALUES (?, ?)", (world.name, state))
            self._connection.executemany("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)", new)
            self._connection.executemany("DELETE FROM blobs WHERE world = ? AND name = ?", gone)
        self._written[world.name] = blobs

    def forget(self, world: World) -> None:
        """A world is no more."""
        with self._transaction():
            self._connection.execute("DELETE FROM worlds WHERE name = ?", (world.name,))
            self._connection.execute("DELETE FROM blobs WHERE world = ?", (world.name,))
        self._written.pop(world.name, None)

    def restore(self, worlds: Worlds) -> int:
        """Bring back every world of the file, and keep them from now on; how many there were."""
        rows = self._connection.execute("SELECT name, state FROM worlds ORDER BY rowid").fetchall()
        for name, state in rows:
            world = worlds.named(name) or worlds.create(name, kind="empty")
            worlds.restore(world, json.loads(state))
            found = self._connection.execute("SELECT name, blob FROM blobs WHERE world = ? ORDER BY rowid", (name,))
            world.blobs.update(found.fetchall())
            self._written[name] = dict(world.blobs)
        worlds.keep, worlds.forget = self.keep, self.forget
        return len(rows)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Generator[None]:
        """All or nothing; one at a time, because the control plane writes from other threads."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
