"""Runs the program of a Potassium app, as `python FILE` would, with Potassium.serve replaced."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import runpy
import sys
import types
from typing import Any, Callable

from .legacy_names import add_legacy_names

__all__ = ["TargetError", "run_target", "when_imported"]

Serve = Callable[[Any], None]


class TargetError(Exception):
    """There is no app to host; the text says why."""


def run_target(program: list[str], serve: Serve, *, needs_app: bool = True) -> None:
    """Run a program and pass its app to `serve`, which returns when the app is to stop.

    Args:
        program: ["FILE.py", arguments...], ["-m", "MODULE", arguments...], or ["MODULE:NAME"].
        serve: Called with the Potassium object in place of its own serve().
        needs_app: Raise TargetError if the program ends without serving an app.

    Raises:
        TargetError: There is no such target, or it serves no app. Otherwise what the program itself raises.
    """
    served: list[Any] = []

    def replacement(self: Any, *args: Any, **known: Any) -> None:
        """Serve the app; its own host and port are ignored, as its host listens for it."""
        served.append(self)
        serve(self)

    when_imported("potassium", lambda module: _adapt(module, replacement))
    if program[0] == "-m":
        sys.argv = program[1:]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    elif program[0].endswith(".py") or os.path.isfile(program[0]):
        _run_file(program)
    else:
        _serve_named(program[0], serve)
        return
    if needs_app and not served:
        raise TargetError(f"{program[0]} ended without calling serve() of a Potassium app")


def _adapt(module: Any, replacement: Callable[..., None]) -> None:
    kind = getattr(module, "Potassium", None)
    if kind is None:
        kind = getattr(sys.modules.get("potassium.potassium"), "Potassium", None)
    if kind is None:
        return
    add_legacy_names(sys.modules[kind.__module__])
    kind.serve = replacement


def _run_file(program: list[str]) -> None:
    file = program[0]
    if not os.path.isfile(file):
        raise TargetError(f"there is no file {file}")
    sys.argv = list(program)
    sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=file, __builtins__=__builtins__, __spec__=None, __cached__=None)
    sys.modules["__main__"] = main
    with open(file, "rb") as source:
        code = compile(source.read(), file, "exec")
    exec(code, main.__dict__)


def _serve_named(target: str, serve: Serve) -> None:
    module, _, name = target.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), name or "app")
    except ModuleNotFoundError as error:
        if error.name != module:
            raise  # the app's own import failed
        raise TargetError(f"there is no module {module}; give it as module:name, or a file as app.py") from None
    except AttributeError:
        raise TargetError("{} has no {}".format(module, name or "app")) from None
    potassium = sys.modules.get("potassium")
    if potassium is None or not isinstance(found, potassium.Potassium):
        raise TargetError(f"{target} is a {type(found).__name__}, not a potassium.Potassium")
    serve(found)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module as the other finders do, and calls `then` once it is loaded."""

    def __init__(self, name: str, then: Callable[[Any], None]) -> None:
        self._name, self._then = name, then

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            original = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                original(module)
                self._then(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def when_imported(name: str, then: Callable[[Any], None]) -> None:
    """Call `then` with a module, now or when it is first imported."""
    module = sys.modules.get(name)
    if module is not None:
        then(module)
    else:
        sys.meta_path.insert(0, _Finder(name, then))
