"""The command `bananastand`: one module per command group, whose work is imported when it is asked for."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; ends the process."""
    from ._app import build

    build()()
