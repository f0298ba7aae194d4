"""How a command ends badly: one line on standard error and an exit status. Never a traceback for a known reason."""

from __future__ import annotations

from typing import NoReturn

import typer

__all__ = ["USAGE", "fail"]

USAGE = 2  # exit status for what the caller can mend; 1 for the rest


def fail(message: str, status: int = 1) -> NoReturn:
    """Say why on standard error and exit."""
    typer.secho(f"error: {message}", fg=typer.colors.RED, err=True)
    raise typer.Exit(status)
