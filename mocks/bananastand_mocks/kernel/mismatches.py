"""Compares a recorded call with an expected one, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .journal_entry import JournalEntry

__all__ = ["MISSING", "Mismatch", "check_fields", "mismatches"]

MISSING = "(missing)"
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
        for mismatch in _compare(field, expected[field], getattr(entry, field))
    ]


def _compare(field: str, expected: Any, got: Any) -> Iterator[Mismatch]:
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key, value in expected.items():
            if key in got:
                yield from _compare(f"{field}.{key}", value, got[key])
            else:
                yield Mismatch(f"{field}.{key}", value, MISSING)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for i, (value, item) in enumerate(zip(expected, got, strict=True)):
            yield from _compare(f"{field}.{i}", value, item)
    elif expected != got or isinstance(expected, bool) != isinstance(got, bool):
        yield Mismatch(field, expected, got)
