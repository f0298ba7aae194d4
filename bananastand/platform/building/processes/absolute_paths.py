"""Finds absolute paths in an app's Python files that do not exist where the root file system is not its root."""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from ..root_filesystem import RootFilesystem

__all__ = ["unreachable_paths"]

# Calls whose first text is a path.
CALLS = frozenset(
    {"open", "makedirs", "mkdir", "listdir", "exists", "isfile", "isdir", "Path", "load", "from_pretrained",
     "load_model", "chdir", "glob", "join", "save", "savefig", "write_text", "copy", "read_csv"}
)  # fmt: skip
PATH = re.compile(r"/[\w.-]+(/[\w. -]*)*")
MACHINE = ("/dev", "/proc", "/sys", "/tmp")
MOST_FILES, MOST_LINES = 200, 12


def unreachable_paths(folder: Path, rootfs: RootFilesystem) -> list[str]:
    """Return lines for the log: file, line and path, and the ways to make them work; empty without any."""
    found = list[str]()
    files = (file for file in sorted(folder.rglob("*.py")) if "site-packages" not in file.parts)
    for _, file in zip(range(MOST_FILES), files, strict=False):
        inside = file.relative_to(folder)
        found += [f"  {inside} line {line}: {path}" for line, path in _paths(file, rootfs)]
    if not found:
        return []
    more = [f"  and {len(found) - MOST_LINES} more"] if len(found) > MOST_LINES else []
    return [
        "these absolute paths are the machine's for the app, not the build's:",
        *found[:MOST_LINES],
        *more,
        "to have them lead into the build: sudo apt-get install bubblewrap, or the container builder; or write them "
        "relative to the app's folder",
    ]


def _paths(file: Path, rootfs: RootFilesystem) -> Iterator[tuple[int, str]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = ast.parse(file.read_text(encoding="utf-8", errors="replace"))
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(parsed):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for value in (*node.args[:2], *(keyword.value for keyword in node.keywords)):
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and PATH.fullmatch(value.value):
                path = value.value
                if path.startswith(MACHINE):
                    continue
                if rootfs.has(path) or (name in CALLS and not os.path.exists(path)):
                    yield value.lineno, path
