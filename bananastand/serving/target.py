"""Finds the Potassium app that `serve` is to host: "module:name", or a file that calls serve() by itself."""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["TargetError", "run_target"]


class TargetError(Exception):
    """There is no app to host; the text says what is wrong."""


def run_target(target: str, serve: Callable[[Any], None]) -> None:
    """Import or run the target and give its app to `serve`, which returns when the server has stopped.

    A file runs as `python FILE` would run it, with Potassium.serve replaced, whatever its variables are called.
    Raises TargetError, and whatever the code itself raises.
    """
    from potassium import Potassium

    if target.endswith(".py"):
        _run_file(Path(target), Potassium, serve)
        return
    module, _, name = target.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), name or "app")
    except ModuleNotFoundError as error:
        if error.name != module:
            raise  # the app's own import failed
        raise TargetError(f"there is no module {module}; give it as module:name, or a file as app.py") from None
    except AttributeError:
        raise TargetError(f"{module} has no {name or 'app'}") from None
    if not isinstance(found, Potassium):
        raise TargetError(f"{target} is a {type(found).__name__}, no potassium.Potassium")
    serve(found)


def _run_file(path: Path, potassium: Any, serve: Callable[[Any], None]) -> None:
    if not path.is_file():
        raise TargetError(f"there is no file {path}")
    served = list[Any]()

    def replacement(self: Any, host: str = "", port: int = 0) -> None:
        """Where the app wanted to listen does not matter: the host listens already."""
        served.append(self)
        serve(self)

    original = potassium.serve
    potassium.serve = replacement
    sys.argv = [str(path)]
    sys.path.insert(0, str(path.resolve().parent))
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        potassium.serve = original
    if not served:
        raise TargetError(f"{path} ended without calling serve() of a Potassium app")
