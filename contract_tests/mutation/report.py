"""The score of a run, as a table and as JSON. Knows no test."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from .mutant import Mutant
from .run import Run, score

__all__ = ["REASONS", "key", "report"]

REASONS = Path(__file__).with_name("survivors.yaml")


def report(run: Run, out: Path | None, before: Any = None) -> int:
    """Print it, write it; 1 where a survivor has no reason, or nothing was tested.

    `before` is a score of which the survivors were asked again: what was seen then stays seen.
    """
    reasons = yaml.safe_load(REASONS.read_text(encoding="utf-8")) or {}
    survivors = {key(each.mutant): reasons.get(key(each.mutant)) for each in run.outcomes if each.test is None}
    rows = score(run.outcomes) if before is None else _merged(before, run)
    print(f"{'provider':14} {'mock':>12} {'client':>12}")
    for provider, sides in rows.items():
        print(f"{provider:14} {_said(sides.get('mock')):>12} {_said(sides.get('client')):>12}")
    pairs = [pair for sides in rows.values() for pair in sides.values()]
    seen, count = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    print(f"{'all':14} {seen}/{count} = {100 * seen / max(count, 1):.1f} %")
    for name, reason in survivors.items():
        print(f"survived: {name}: {reason or 'no reason is known'}")
    if out is not None:
        found: dict[str, Any] = {
            "mutants": count,
            "seen": seen,
            "per cent": round(100 * seen / max(count, 1), 1),
            "providers": {
                provider: {side: {"seen": a, "of": b} for side, (a, b) in sides.items()}
                for provider, sides in rows.items()
            },
            "survivors": survivors,
        }
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(not count or None in survivors.values())


def _merged(before: Any, run: Run) -> dict[str, dict[str, tuple[int, int]]]:
    """All mutants of the earlier score; not seen are those that survived now."""
    left = Counter((each.mutant.provider, each.mutant.side) for each in run.outcomes if each.test is None)
    return {
        provider: {side: (row["of"] - left[provider, side], row["of"]) for side, row in sides.items()}
        for provider, sides in before["providers"].items()
    }


def _said(pair: tuple[int, int] | None) -> str:
    return "-" if pair is None else f"{pair[0]}/{pair[1]}"


def key(mutant: Mutant) -> str:
    """The name of a mutant as reasons are kept: without its line, which moves."""
    return re.sub(r"line \d+: ", "", str(mutant))
