"""API keys: random UUIDs, of which only a digest is stored.

A key is valid for Banana's APIs as it is, and for LowCodeAPI's as `at_r` and its 32 hexadecimal digits.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import tomllib
import uuid
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert, select, update

from ..errors import NotFound, Refused
from . import tables
from .store import Store

__all__ = ["CLIENT_FILE", "FIRST", "Key", "Keys", "api_token", "write_client_file"]

FIRST = "first"  # the name of the key of a new data directory
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
    """The keys of a data directory."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._valid: dict[str, str] = {}  # digest to id
        table = tables.keys
        with store.reading() as connection:
            for row in connection.execute(select(table.c.id, table.c.digest).where(table.c.revoked.is_(None))):
                self._valid[row.digest] = row.id

    def create(self, name: str) -> tuple[Key, str]:
        """Create a key; return it with its secret, which cannot be read again. Raises Refused for an invalid name."""
        if not NAME.fullmatch(name):
            raise Refused("a key's name has 1 to 100 letters, digits, spaces and . _ @ -")
        secret, key = str(uuid.uuid4()), Key(str(uuid.uuid4()), name, time.time())
        with self._store.transaction() as connection:
            row = {"id": key.id, "name": key.name, "digest": _digest(secret), "created": key.created}
            connection.execute(insert(tables.keys).values(row))
        self._valid[_digest(secret)] = key.id
        return key, secret

    def list(self) -> list[Key]:
        """Return all keys, revoked ones too, oldest first."""
        table = tables.keys
        with self._store.reading() as connection:
            rows = connection.execute(
                select(table.c.id, table.c.name, table.c.created, table.c.revoked).order_by(table.c.created)
            )
            return [Key(*row) for row in rows]

    def revoke(self, id: str) -> None:
        """Revoke the key of that id. Raises NotFound, also for a key that is revoked already."""
        table = tables.keys
        with self._store.transaction() as connection:
            result = connection.execute(
                update(table).where(table.c.id == id, table.c.revoked.is_(None)).values(revoked=time.time())
            )
        if not result.rowcount:
            raise NotFound(f"there is no valid key {id}")
        self._valid = {digest: key for digest, key in self._valid.items() if key != id}

    def find(self, secret: str) -> str | None:
        """Return the id of the key with this secret or LowCodeAPI token, or None.

        Looked up by digest, so that timing reveals nothing.
        """
        if token := TOKEN.fullmatch(secret):
            secret = str(uuid.UUID(token[1]))
        return self._valid.get(_digest(secret))

    @property
    def ids(self) -> list[str]:
        """Return the ids of all valid keys."""
        return list(self._valid.values())


def api_token(secret: str) -> str:
    """Return a key in the form of a LowCodeAPI token."""
    return f"at_r{uuid.UUID(secret).hex}"


def write_client_file(folder: Path, url: str, secret: str | None = None) -> Path | None:
    """Write the file from which this user's commands read the platform's URL and an API key.

    Args:
        folder: The data directory.
        url: The platform's URL.
        secret: The key's secret; None to keep the one in the file.

    Returns:
        The file; None if there is no secret to write.
    """
    path = folder / CLIENT_FILE
    if secret is None:
        try:
            secret = str(tomllib.loads(path.read_text(encoding="utf-8"))["key"])
        except (OSError, ValueError, KeyError):
            return None
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)
        file.write(f"url = {json.dumps(url)}\nkey = {json.dumps(secret)}\n")
    temporary.replace(path)
    return path


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
