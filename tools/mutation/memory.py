"""Which test saw a mutant before: it is asked first, which makes a run quicker and changes nothing that it finds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from .mutant import key
from .run import Outcome

__all__ = ["load", "save"]

KEPT = Path(__file__).resolve().parents[2] / "out" / "mutants-seen-by.json"


def load(path: Path = KEPT) -> dict[str, str]:
    """The test that saw a mutant, by the mutant's key."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save(outcomes: Iterable[Outcome], path: Path = KEPT) -> None:
    """Add what a run has found."""
    found = {key(outcome.mutant): outcome.test for outcome in outcomes if outcome.test is not None}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(load(path) | found, indent=0, sort_keys=True) + "\n", encoding="utf-8")
