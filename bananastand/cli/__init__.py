"""The command `bananastand`: a module for each command, which imports its work when it runs."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; ends the process."""
    try:
        from ._app import build

        build()()
    except KeyboardInterrupt:  # while modules are imported
        raise SystemExit(130) from None
