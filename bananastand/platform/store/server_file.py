"""The note in a data directory that its rows are in PostgreSQL, so that nothing goes on with older ones by mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import Conflict
from .private_files import open_private

__all__ = ["SERVER_FILE", "check_no_server", "note_server", "server_of"]

SERVER_FILE = "postgresql.json"


def note_server(data: Path, server: str) -> None:
    """Note that the rows of a data directory are in PostgreSQL."""
    with open(data / SERVER_FILE, "w", encoding="utf-8", opener=open_private) as file:
        json.dump({"server": server}, file)


def server_of(data: Path) -> str | None:
    """Return the server that has the rows of a data directory; None if they are in SQLite."""
    try:
        record: Any = json.loads((data / SERVER_FILE).read_text(encoding="utf-8"))
        return str(record["server"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_no_server(data: Path) -> None:
    """Raise Conflict where the rows of a data directory are in PostgreSQL."""
    if (server := server_of(data)) is not None:
        raise Conflict(
            f"the rows of {data} are in PostgreSQL, at {server}: start with --database URL. To go on with SQLite "
            f"without them, delete {data / SERVER_FILE}"
        )
