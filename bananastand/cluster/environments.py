"""The Python environment of a build on a node: its own where that has the same packages, else a copy of the front's."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bananastand.platform.replicas.process import spawn

__all__ = ["Recipe", "find_environment", "look_into", "recipe_message", "why_unequal"]

LOOK = """
import importlib.metadata as m, json, re, sys
found = {}
for d in m.distributions():
    name = d.metadata["Name"] or ""
    found.setdefault(re.sub("[-_.]+", "-", name).lower(), d.version)
print(json.dumps([sys.executable, list(sys.version_info[:2]), sys.prefix, sys.base_prefix, found]))
"""
TIMEOUT = 60.0  # seconds
FEW = 5  # packages that an error names
# What an environment has for itself, and no app of it needs in a certain version.
TOOLS = frozenset(("pip", "setuptools", "wheel", "uv", "bananastand"))


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an environment holds.

    Attributes:
        python: Its interpreter.
        version: Of Python, such as "3.11".
        prefix: Its folder.
        base: The folder of the installation that it was made from.
        packages: Versions by normalized name.
    """

    python: str
    version: str
    prefix: str
    base: str
    packages: Mapping[str, str]


async def look_into(python: str) -> Recipe | None:
    """Return what the environment of an interpreter holds; None where there is no such interpreter, or a broken one."""
    lines = list[str]()
    try:
        process = await spawn([python, "-I", "-c", LOOK], "/", {}, lines.append)
    except OSError:
        return None
    try:
        async with asyncio.timeout(TIMEOUT):
            status = await process.ended()
    except TimeoutError:
        await process.stop(0.0)
        return None
    try:
        _, version, prefix, base, packages = json.loads(lines[-1])
    except (ValueError, IndexError):
        return None
    return Recipe(python, ".".join(map(str, version)), prefix, base, packages) if status == 0 else None


def why_unequal(recipe: Recipe, candidate: Recipe) -> str | None:
    """Return why an environment cannot take the place of another, in words; None where it can.

    It may hold more than the other one.
    """
    if candidate.version != recipe.version:
        return f"its Python is {candidate.version}, not {recipe.version}"
    needed = {name: version for name, version in recipe.packages.items() if name not in TOOLS}
    different = [
        f"{name} {candidate.packages.get(name, 'is missing')}, not {version}"
        for name, version in sorted(needed.items())
        if candidate.packages.get(name) != version
    ]
    if not different:
        return None
    more = f" and {len(different) - FEW} more" if len(different) > FEW else ""
    return f"it has {', '.join(different[:FEW])}{more}"


async def find_environment(recipe: Recipe, known: dict[str, Recipe]) -> tuple[str | None, Sequence[str]]:
    """Find an environment of this machine that can take the place of a front's.

    Args:
        recipe: What the front's holds.
        known: Environments that were good already, by interpreter; a new one is added.

    Returns:
        Its interpreter, or None, and then why each candidate is unsuitable.
    """
    reasons = list[str]()
    for python in dict.fromkeys((recipe.python, sys.executable)):
        candidate = known.get(python) or await look_into(python)
        if candidate is None:
            continue
        if (reason := why_unequal(recipe, candidate)) is None:
            known[python] = candidate
            return python, ()
        reasons.append(f"{Path(python).parent.parent}: {reason}")
    return None, reasons


def recipe_message(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as a JSON object, which `Recipe(**message)` takes."""
    return {
        "python": recipe.python,
        "version": recipe.version,
        "prefix": recipe.prefix,
        "base": recipe.base,
        "packages": dict(recipe.packages),
    }
