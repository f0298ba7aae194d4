"""Stores worlds in a SQLite file, so that they survive restarts.

A world is one row, rewritten after every call that has changed it and before that call is answered. Each of its blobs
is a row of its own and is written once.
"""

from __future__ import annotations

import hashlib
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
    """A SQLite file in WAL mode, which is intact after its process was killed.

    Raises:
        StateError: The file cannot be opened, or is no database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS worlds (name TEXT PRIMARY KEY, state TEXT NOT NULL)")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS blobs"
                " (world TEXT NOT NULL, name TEXT NOT NULL, blob BLOB NOT NULL, PRIMARY KEY (world, name))"
            )
        except sqlite3.DatabaseError as error:
            raise StateError(f"{path} is not a state file: {error}") from None
        self._written: dict[str, dict[str, bytes]] = {}
        self._digests: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def keep(self, world: World) -> None:
        """Write a world with its new blobs, and delete the blobs that it lost; unchanged worlds are not written."""
        state = json.dumps(world.dump(blobs=False), ensure_ascii=False)
        digest = hashlib.blake2b(state.encode("utf-8", "surrogatepass")).digest()
        blobs, written = dict(world.blobs), self._written.get(world.name, {})
        added = [(world.name, name, blob) for name, blob in blobs.items() if written.get(name) is not blob]
        removed = [(world.name, name) for name in written if name not in blobs]
        if digest == self._digests.get(world.name) and not added and not removed:
            return
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO worlds VALUES (?, ?)", (world.name, state))
            self._connection.executemany("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)", added)
            self._connection.executemany("DELETE FROM blobs WHERE world = ? AND name = ?", removed)
        self._written[world.name], self._digests[world.name] = blobs, digest

    def forget(self, world: World) -> None:
        """Delete a world."""
        with self._transaction():
            self._connection.execute("DELETE FROM worlds WHERE name = ?", (world.name,))
            self._connection.execute("DELETE FROM blobs WHERE world = ?", (world.name,))
        self._written.pop(world.name, None)
        self._digests.pop(world.name, None)

    def restore(self, worlds: Worlds) -> int:
        """Restore every world of the file, and save them from now on.

        Returns:
            How many worlds there were.

        Raises:
            StateError: The file holds something that is no world.
        """
        try:
            rows = self._connection.execute("SELECT name, state FROM worlds ORDER BY rowid").fetchall()
            for name, state in rows:
                self._restore(worlds, name, json.loads(state))
        except (sqlite3.DatabaseError, ValueError) as error:
            raise StateError(f"{self._path}: {error}") from None
        worlds.keep, worlds.forget = self.keep, self.forget
        return len(rows)

    def _restore(self, worlds: Worlds, name: str, state: object) -> None:
        if not isinstance(state, dict):
            raise StateError(f"the world {name} is no object")
        world = worlds.named(name) or worlds.create(name, kind="empty")
        worlds.restore(world, state)
        blobs = self._connection.execute("SELECT name, blob FROM blobs WHERE world = ? ORDER BY rowid", (name,))
        world.blobs.update(blobs.fetchall())
        self._written[name] = dict(world.blobs)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Generator[None]:
        """Run one transaction at a time, because the control plane writes from other threads."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
