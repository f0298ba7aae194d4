"""`bananastand migrate`: the rows of a platform from SQLite to PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bananastand.platform.store.logs import plain

from ._ends import fail
from .backup import Data

__all__ = ["migrate"]


def migrate(
    to: Annotated[
        str,
        typer.Option(
            "--to", envvar="BANANASTAND_DATABASE", help="An empty database, such as postgresql://user@host/name."
        ),
    ],
    data: Data = None,
) -> None:
    """Move a platform's projects, versions, keys and calls to PostgreSQL, while it does not run.

    Its files stay in the data directory, and so does its SQLite database, under another name. All rows are moved, or
    none: after an error or a kill, repeat the command.

    Example: [bold]bananastand migrate --to postgresql://bananastand@db.internal/bananastand[/bold]
    """
    from bananastand.platform.errors import PlatformError
    from bananastand.platform.settings import default_data
    from bananastand.platform.store.postgresql.transfer import move_to_postgres

    folder: Path = (data or default_data()).expanduser().resolve()
    try:
        counts = move_to_postgres(folder, to, _show)
    except PlatformError as error:
        fail(str(error))
    rows = ", ".join(f"{count} {name}" for name, count in counts.items() if name != "facts")
    typer.echo(plain(f"moved {rows}; start with: bananastand up --data {folder} --database URL"))


def _show(table: str, written: int, total: int) -> None:
    typer.echo(f"{table}: {written} of {total} rows", err=True)
