"""Summarises an inspection in a few lines, for `bananastand deploy`."""

from __future__ import annotations

from pathlib import Path

from ..building.errors import BuildError
from .findings import Inspection
from .inspect import inspect_source

__all__ = ["lines_of", "size", "summary"]


def summary(source: Inspection | Path) -> str:
    """Return the summary of an inspection, or of a folder, without asking the hub. Never raises."""
    if isinstance(source, Inspection):
        return "\n".join(lines_of(source))
    try:
        return "\n".join(lines_of(inspect_source(source, hub=False)))
    except (BuildError, OSError, RecursionError) as error:
        return f"inspect: {error}"


def lines_of(inspection: Inspection) -> list[str]:
    """Return the lines: what it is, what it needs, and what must be changed first."""
    template, base, torch = inspection.template, inspection.base, inspection.torch
    python = f"Python {base.python}" if base.python else "Python not named"
    parts = [template.title, python, *([f"torch {torch.version}"] if torch is not None and torch.version else [])]
    lines = [f"inspect: {', '.join(parts)}"]
    if inspection.weights:
        names = ", ".join(weight.name for weight in inspection.weights[:4])
        more = f" and {len(inspection.weights) - 4} more" if len(inspection.weights) > 4 else ""
        memory = f"; GPU memory about {size(inspection.memory.bytes)}" if inspection.memory.bytes else ""
        lines.append(f"  weights: {names}{more}{memory}")
    for difference in inspection.changes:
        where = f" ({difference.where})" if difference.where else ""
        lines.append(f"  change first: {difference.text}{where}: {difference.change}")
    return lines


def size(bytes_: int | None) -> str:
    """Format bytes in powers of ten."""
    if bytes_ is None:
        return "size unknown"
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if bytes_ >= factor:
            return f"{bytes_ / factor:.1f} {unit}"
    return f"{bytes_} B"
