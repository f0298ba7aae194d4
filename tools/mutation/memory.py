"""Remembers which test detected a mutant, so that the next run tries that test first. The score stays the same."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from .mutant import key
from .run import Outcome

__all__ = ["load", "save"]

FILE = Path(__file__).resolve().parents[2] / "out" / "mutants-seen-by.json"


def load(path: Path = FILE) -> dict[str, str]:
    """Returns the test that detected a mutant, by the mutant's key."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save(outcomes: Iterable[Outcome], path: Path = FILE) -> None:
    """Adds the outcomes of a run."""
    found = {key(outcome.mutant): outcome.test for outcome in outcomes if outcome.test is not None}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(load(path) | found, indent=0, sort_keys=True) + "\n", encoding="utf-8")
