"""A mutant, and the sites that connect it with the tests that can detect it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Mutant", "key", "reached", "site", "value_at"]

reached: set[str] = set()  # the sites that this process reached since the set was cleared


@dataclass(frozen=True)
class Mutant:
    """One fault. A test can detect it if it reaches one of its `sites`; `apply` puts it into this process."""

    provider: str
    side: str
    operation: str
    kind: str
    what: str
    sites: frozenset[str]
    apply: Callable[[], None] = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.provider} {self.side} {self.operation}: {self.kind} {self.what}"


def site(side: str, provider: str, operation: str, status: object = "") -> str:
    """Returns the name of a place that tests reach."""
    return f"{side} {provider} {operation} {status}".rstrip()


def key(mutant: Mutant) -> str:
    """Returns the name of a mutant in survivors.yaml: without its line, which changes."""
    return re.sub(r"line \d+: ", "", str(mutant))


def value_at(body: Any, path: tuple[str, ...], change: Callable[[Any, str], None]) -> bool:
    """Calls `change(holder, key)` for every value at a path, in which [] is every item and * every value of a map.

    Returns:
        Whether there was such a value.
    """
    if not path:
        return False
    head, rest = path[0], path[1:]
    if head == "[]":
        return isinstance(body, list) and sum(value_at(item, rest, change) for item in body) > 0
    if head == "*":
        return isinstance(body, dict) and sum(value_at(value, rest, change) for value in body.values()) > 0
    if not isinstance(body, dict) or head not in body:
        return False
    if rest:
        return value_at(body[head], rest, change)
    change(body, head)
    return True
