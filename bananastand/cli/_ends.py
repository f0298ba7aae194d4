"""How a command fails: a reason on standard error and an exit status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import typer

from bananastand.platform.store.logs import plain

__all__ = ["USAGE", "fail"]

USAGE = 2  # exit status for what the caller can fix; 1 for the rest


def fail(message: str, status: int = 1, *, hints: Sequence[str] = ()) -> NoReturn:
    """Print an error and end the program. Escape sequences, which may come from an app, are removed.

    Args:
        message: What happened.
        status: Exit status.
        hints: What to do next, one line each.
    """
    typer.secho(f"error: {plain(message)}", fg=typer.colors.RED, err=True)
    for hint in hints:
        typer.echo(plain(hint), err=True)
    raise typer.Exit(status)
