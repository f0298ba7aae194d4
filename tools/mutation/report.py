"""The score of a run, as a table and as JSON. Knows no test."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from .mutant import key
from .run import Run, score

__all__ = ["REASONS", "reasons", "report"]

REASONS = Path(__file__).with_name("survivors.yaml")


def reasons() -> dict[str, str]:
    """Why mutants survive, by their keys."""
    return yaml.safe_load(REASONS.read_text(encoding="utf-8")) or {}


def report(run: Run, out: Path | None, before: Any = None, *, again: bool = False) -> int:
    """Print it, write it; 1 where a survivor has no reason, a mutant was not asked about, or nothing was tested.

    `before` is an earlier score: what this run does not ask about stays as it was. With `again` only the survivors of
    it were asked about, and what was seen then stays seen.
    """
    known, rows, survivors = reasons(), score(run.outcomes), dict[str, str | None]()
    unasked = len(run.mutants) - len(run.outcomes)
    if before is not None:
        rows = _merged(before, run) if again else {**_rows(before), **rows}
        anew = {mutant.provider for mutant in run.mutants}
        survivors = {name: reason for name, reason in before["survivors"].items() if name.split()[0] not in anew}
    survivors |= {
        key(outcome.mutant): known.get(key(outcome.mutant)) for outcome in run.outcomes if outcome.test is None
    }
    print(f"{'provider':14} {'mock':>12} {'client':>12}")
    for provider, sides in rows.items():
        print(f"{provider:14} {_said(sides.get('mock')):>12} {_said(sides.get('client')):>12}")
    pairs = [pair for sides in rows.values() for pair in sides.values()]
    seen, count = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    print(f"{'all':14} {seen}/{count} = {100 * seen / max(count, 1):.1f} %; not asked about: {unasked}")
    for name, reason in survivors.items():
        print(f"survived: {name}: {reason or 'no reason is known'}")
    for name in sorted(
        key(outcome.mutant) for outcome in run.outcomes if outcome.test and key(outcome.mutant) in known
    ):
        print(f"seen, and yet a reason is given: {name}")
    if out is not None:
        found: dict[str, Any] = {
            "mutants": count,
            "not asked about": unasked,
            "seen": seen,
            "per cent": round(100 * seen / max(count, 1), 1),
            "providers": {
                provider: {
                    side: {"seen": a, "of": b, "per cent": round(100 * a / b, 1)} for side, (a, b) in sides.items()
                }
                for provider, sides in sorted(rows.items())
            },
            "survivors": dict(sorted(survivors.items())),
        }
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(not count or unasked > 0 or None in survivors.values())


def _rows(before: Any) -> dict[str, dict[str, tuple[int, int]]]:
    return {
        provider: {side: (row["seen"], row["of"]) for side, row in sides.items()}
        for provider, sides in before["providers"].items()
    }


def _merged(before: Any, run: Run) -> dict[str, dict[str, tuple[int, int]]]:
    """All mutants of the earlier score; of the providers asked again those are not seen that survived now."""
    left = Counter((outcome.mutant.provider, outcome.mutant.side) for outcome in run.outcomes if outcome.test is None)
    anew = {mutant.provider for mutant in run.mutants}
    return {
        provider: {
            side: (of - left[provider, side] if provider in anew else seen, of) for side, (seen, of) in sides.items()
        }
        for provider, sides in _rows(before).items()
    }


def _said(pair: tuple[int, int] | None) -> str:
    return "-" if pair is None else f"{pair[0]}/{pair[1]}"
