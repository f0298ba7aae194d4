"""The score of a run, as a table and as JSON."""

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
    """Returns why mutants survive, by their keys."""
    return yaml.safe_load(REASONS.read_text(encoding="utf-8")) or {}


def report(run: Run, out: Path | None, before: Any = None, *, again: bool = False) -> int:
    """Prints the score and writes it.

    Args:
        run: The run, which has ended.
        out: The score file, if one is written.
        before: An earlier score, whose other providers are carried over.
        again: Whether only the survivors of the earlier score were tested; what was detected then stays detected.

    Returns:
        1 if a survivor has no reason, a mutant was not tested, or nothing was tested; 0 otherwise.
    """
    known, rows, survivors = reasons(), score(run.outcomes), dict[str, str | None]()
    untested = len(run.mutants) - len(run.outcomes)
    if before is not None:
        rows = _merged(before, run) if again else {**_rows(before), **rows}
        tested_again = {mutant.provider for mutant in run.mutants}
        survivors = {
            name: reason for name, reason in before["survivors"].items() if name.split()[0] not in tested_again
        }
    survivors |= {
        key(outcome.mutant): known.get(key(outcome.mutant)) for outcome in run.outcomes if outcome.test is None
    }
    print(f"{'provider':14} {'mock':>12} {'client':>12}")
    for provider, sides in rows.items():
        print(f"{provider:14} {_cell(sides.get('mock')):>12} {_cell(sides.get('client')):>12}")
    pairs = [pair for sides in rows.values() for pair in sides.values()]
    detected, count = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    print(f"{'all':14} {detected}/{count} = {100 * detected / max(count, 1):.1f} %; not tested: {untested}")
    for name, reason in survivors.items():
        print(f"survived: {name}: {reason or 'no reason given'}")
    for name in sorted(
        key(outcome.mutant) for outcome in run.outcomes if outcome.test and key(outcome.mutant) in known
    ):
        print(f"detected, although survivors.yaml has a reason: {name}")
    if out is not None:
        found: dict[str, Any] = {
            "mutants": count,
            "not tested": untested,
            "detected": detected,
            "per cent": round(100 * detected / max(count, 1), 1),
            "providers": {
                provider: {
                    side: {"detected": a, "of": b, "per cent": round(100 * a / b, 1)} for side, (a, b) in sides.items()
                }
                for provider, sides in sorted(rows.items())
            },
            "survivors": dict(sorted(survivors.items())),
        }
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(not count or untested > 0 or None in survivors.values())


def _rows(before: Any) -> dict[str, dict[str, tuple[int, int]]]:
    return {
        provider: {side: (row["detected"], row["of"]) for side, row in sides.items()}
        for provider, sides in before["providers"].items()
    }


def _merged(before: Any, run: Run) -> dict[str, dict[str, tuple[int, int]]]:
    """Returns the earlier counts, in which the survivors of this run take the place of the earlier survivors."""
    left = Counter((outcome.mutant.provider, outcome.mutant.side) for outcome in run.outcomes if outcome.test is None)
    tested_again = {mutant.provider for mutant in run.mutants}
    return {
        provider: {
            side: (of - left[provider, side] if provider in tested_again else detected, of)
            for side, (detected, of) in sides.items()
        }
        for provider, sides in _rows(before).items()
    }


def _cell(pair: tuple[int, int] | None) -> str:
    return "-" if pair is None else f"{pair[0]}/{pair[1]}"
