"""Compares a recorded call with an expected one, field by field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .journal_entry import JournalEntry

__all__ = ["MISSING", "NEAREST", "Mismatch", "check_fields", "compare", "explain_near_misses", "mismatches"]

MISSING = "(missing)"
NEAREST = 3  # calls that came near are named
FIELDS = ("provider", "operation", "method", "path", "query", "headers", "body", "status")


class Mismatch(NamedTuple):
    """One value that is not as expected; the field is a dotted path, such as body.modelInputs.prompt."""

    field: str
    expected: Any
    got: Any


def check_fields(expected: Mapping[str, Any]) -> None:
    """Raise ValueError for a field that calls do not have."""
    if unknown := expected.keys() - set(FIELDS):
        raise ValueError(f"calls have no {', '.join(sorted(unknown))}; they have {', '.join(FIELDS)}")


def mismatches(expected: Mapping[str, Any], entry: JournalEntry) -> list[Mismatch]:
    """Return all mismatches.

    An object may hold more than expected; everything else must be equal and of the same type.
    """
    return [
        mismatch
        for field in FIELDS
        if field in expected
        for mismatch in compare(field, expected[field], getattr(entry, field))
    ]


def explain_near_misses(near_misses: Iterable[tuple[JournalEntry, list[Mismatch]]]) -> list[str]:
    """Return lines for an assertion: each call that came near, and below it where it differs."""
    lines: list[str] = []
    for entry, found in near_misses:
        lines.append(f"near miss: call {entry.number}, {entry.method} {entry.path} -> {entry.status}")
        lines += [f"    {part.field}: expected {part.expected!r}, got {part.got!r}" for part in found]
    return lines


def compare(field: str, expected: Any, got: Any) -> Iterator[Mismatch]:
    """Yield where a value differs from the expected one, as in `mismatches`; `field` names the value."""
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key, value in expected.items():
            if key in got:
                yield from compare(f"{field}.{key}", value, got[key])
            else:
                yield Mismatch(f"{field}.{key}", value, MISSING)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for i, (value, item) in enumerate(zip(expected, got, strict=True)):
            yield from compare(f"{field}.{i}", value, item)
    elif expected != got or isinstance(expected, bool) != isinstance(got, bool):
        yield Mismatch(field, expected, got)
