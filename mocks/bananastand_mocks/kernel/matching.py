"""Compares a recorded call with an expected one, field by field. Knows no store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .journal import Entry

__all__ = ["MISSING", "Difference", "differences", "known"]

MISSING = "(missing)"
FIELDS = ("provider", "operation", "method", "path", "query", "headers", "body", "status")


class Difference(NamedTuple):
    """Where a call is not as expected: the field as a dotted path, such as body.modelInputs.prompt."""

    field: str
    expected: Any
    got: Any


def known(expected: Mapping[str, Any]) -> None:
    """Raise ValueError for a field that calls do not have."""
    if unknown := expected.keys() - set(FIELDS):
        raise ValueError(f"calls have no {', '.join(sorted(unknown))}; they have {', '.join(FIELDS)}")


def differences(expected: Mapping[str, Any], entry: Entry) -> list[Difference]:
    """All differences. Objects may hold more than expected, everything else must be equal and of the same type."""
    return [
        each for field in FIELDS if field in expected for each in _in(field, expected[field], getattr(entry, field))
    ]


def _in(field: str, expected: Any, got: Any) -> Iterator[Difference]:
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key, value in expected.items():
            if key in got:
                yield from _in(f"{field}.{key}", value, got[key])
            else:
                yield Difference(f"{field}.{key}", value, MISSING)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for i, (value, item) in enumerate(zip(expected, got, strict=True)):
            yield from _in(f"{field}.{i}", value, item)
    elif expected != got or isinstance(expected, bool) != isinstance(got, bool):
        yield Difference(field, expected, got)
