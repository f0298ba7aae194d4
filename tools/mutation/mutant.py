"""A mutant, and the sites by which the tests that can see it are found. Knows no provider."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Mutant", "key", "reached", "site", "value_at"]

reached: set[str] = set()  # the sites that this process came by since it was cleared


@dataclass(frozen=True)
class Mutant:
    """One fault. A test can see it if it comes by one of its `sites`; `apply` puts it into this process."""

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
    """The name of a place that tests come by."""
    return f"{side} {provider} {operation} {status}".rstrip()


def key(mutant: Mutant) -> str:
    """The name of a mutant as reasons are kept: without its line, which moves."""
    return re.sub(r"line \d+: ", "", str(mutant))


def value_at(body: Any, path: tuple[str, ...], change: Callable[[Any, str], None]) -> bool:
    """Call `change(holder, key)` for every value at a path, in which [] is each item and * each value of a map."""
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
