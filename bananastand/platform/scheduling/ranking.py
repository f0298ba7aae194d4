"""Projects in the order of a key, such as a moment, that may change at any time."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Ranking"]


class Ranking:
    """Names in ascending order of their keys, and of the names where keys are equal.

    A change takes a binary search and a move of memory: well below 0.1 ms for 100,000 names.
    """

    def __init__(self) -> None:
        self._sorted: list[tuple[Any, ...]] = []  # keys with their names
        self._keys: dict[str, tuple[Any, ...]] = {}

    def __len__(self) -> int:
        return len(self._sorted)

    def __iter__(self) -> Iterator[str]:
        return (key[-1] for key in self._sorted)

    def place(self, name: str, *key: Any) -> None:
        """Give a name a key, in place of the one that it had; the name is removed if it has no key, or None as one."""
        is_ranked = bool(key) and key[0] is not None
        new, old = (*key, name) if is_ranked else None, self._keys.get(name)
        if new == old:
            return
        if old is not None:
            del self._sorted[bisect_left(self._sorted, old)]
            del self._keys[name]
        if new is not None:
            insort(self._sorted, new)
            self._keys[name] = new

    @property
    def lowest(self) -> tuple[Any, ...] | None:
        """The lowest key, with its name at the end; None if there is no name."""
        return self._sorted[0] if self._sorted else None

    def at(self, position: int) -> tuple[Any, ...]:
        """Return the key at a position, with its name at the end."""
        return self._sorted[position]

    def up_to(self, value: Any) -> list[str]:
        """Return the names whose keys begin with `value` or less."""
        return [key[-1] for key in self._sorted[: self.count_while(lambda first: first <= value)]]

    def count_while(self, holds: Callable[[Any], bool]) -> int:
        """Return how many names come before the first value of a key for which `holds` is false, as for all after."""
        return bisect_left(self._sorted, True, key=lambda key: not holds(key[0]))
