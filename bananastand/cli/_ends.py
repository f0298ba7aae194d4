"""How a command fails: its reason on standard error and an exit status, never a traceback for a known reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import typer

from bananastand.platform.store.logs import plain

__all__ = ["USAGE", "fail"]

USAGE = 2  # exit status for what the caller can mend; 1 for the rest


def fail(message: str, status: int = 1, *, hints: Sequence[str] = ()) -> NoReturn:
    """Print an error and exit. Escape sequences in the message, which may be an app's own, are removed.

    hints: What to do next, a line each.
    """
    typer.secho(f"error: {plain(message)}", fg=typer.colors.RED, err=True)
    for hint in hints:
        typer.echo(plain(hint), err=True)
    raise typer.Exit(status)
