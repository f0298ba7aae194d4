"""API keys: random uuids, of which only a digest is stored. Knows no HTTP.

A key opens everything: Banana's APIs as it is, LowCodeAPI's as `at_r` and its 32 hexadecimal digits.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import tomllib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert, select, update

from ..errors import NotFound, Refused
from . import tables
from .database import Store

__all__ = ["CLIENT_FILE", "FIRST", "Key", "Keys", "api_token", "write_client_file"]

FIRST = "first"
CLIENT_FILE = "client.toml"
TOKEN = re.compile(r"at_r([0-9a-f]{32})(_.*)?")
NAME = re.compile(r"[\w .@-]{1,100}")


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret."""

    id: str
    name: str
    created: float
    revoked: float | None = None


class Keys:
    """The keys of a data directory. `changed` is called when there is one more, or one less that is valid."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.changed: list[Callable[[], None]] = []
        self._valid: dict[str, str] = {}  # digest to id
        table = tables.keys
        with store.reading() as connection:
            for row in connection.execute(select(table.c.id, table.c.digest).where(table.c.revoked.is_(None))):
                self._valid[row.digest] = row.id

    def create(self, name: str) -> tuple[Key, str]:
        """A new key and its secret, which nobody can read again. Raises Refused for a name that is none."""
        if not NAME.fullmatch(name):
            raise Refused("a key's name has 1 to 100 letters, digits, spaces and . _ @ -")
        secret, key = str(uuid.uuid4()), Key(str(uuid.uuid4()), name, time.time())
        with self._store.transaction() as connection:
            row = {"id": key.id, "name": key.name, "digest": _digest(secret), "created": key.created}
            connection.execute(insert(tables.keys).values(row))
        self._valid[_digest(secret)] = key.id
        self._tell()
        return key, secret

    def list(self) -> list[Key]:
        """All keys, revoked ones too, oldest first."""
        table = tables.keys
        with self._store.reading() as connection:
            rows = connection.execute(
                select(table.c.id, table.c.name, table.c.created, table.c.revoked).order_by(table.c.created)
            )
            return [Key(*row) for row in rows]

    def revoke(self, name: str) -> None:
        """From now on the key of this id opens nothing. Raises NotFound, also for one that is revoked already."""
        table = tables.keys
        with self._store.transaction() as connection:
            done = connection.execute(
                update(table).where(table.c.id == name, table.c.revoked.is_(None)).values(revoked=time.time())
            )
        if not done.rowcount:
            raise NotFound(f"there is no valid key {name}")
        self._valid = {digest: each for digest, each in self._valid.items() if each != name}
        self._tell()

    def find(self, secret: str) -> str | None:
        """The id of the key whose secret or LowCodeAPI token this is. Looked up by digest: time tells nothing."""
        if token := TOKEN.fullmatch(secret):
            secret = str(uuid.UUID(token[1]))
        return self._valid.get(_digest(secret))

    @property
    def ids(self) -> list[str]:
        """The ids of all valid keys."""
        return list(self._valid.values())

    def _tell(self) -> None:
        for tell in self.changed:
            tell()


def api_token(secret: str) -> str:
    """A key as LowCodeAPI wants it."""
    return f"at_r{uuid.UUID(secret).hex}"


def write_client_file(folder: Path, url: str, secret: str | None = None) -> Path | None:
    """Tell the command line of this machine where the stand is and with which key; nobody else may read it.

    Without a secret the one that is in the file stays; None where there is none.
    """
    path = folder / CLIENT_FILE
    if secret is None:
        try:
            secret = str(tomllib.loads(path.read_text(encoding="utf-8"))["key"])
        except (OSError, ValueError, KeyError):
            return None
    written = path.with_suffix(".new")
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)
        file.write(f"url = {json.dumps(url)}\nkey = {json.dumps(secret)}\n")
    written.replace(path)
    return path


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
