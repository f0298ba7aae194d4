"""Pages: limit, offset, and fal's cursor, the number of a page in base64."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["PageSlice", "page", "single_page"]

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class PageSlice:
    """Rows `start` to `stop` of `total`, and the cursor of the page after it (None on the last)."""

    start: int
    stop: int
    next_cursor: str | None

    @property
    def has_more(self) -> bool:
        """Whether another page follows."""
        return self.next_cursor is not None

    def to_response(self, name: str, rows: Sequence[Row], serialize: Callable[[Row], Any]) -> dict[str, Any]:
        """Returns the serialized rows of this page under a name, with next_cursor and has_more."""
        items = [serialize(row) for row in rows[self.start : self.stop]]
        return {name: items, "next_cursor": self.next_cursor, "has_more": self.has_more}


def page(total: int, parameters: dict[str, Any], size: int, *, most: int | None = None) -> PageSlice:
    """The page that `limit`, `offset` and `cursor` ask for; `size` is its length without a limit, `most` its greatest.

    A cursor counts pages from the offset, so that C:52's offset and fal's own cursor go together.
    """
    limit = int(parameters.get("limit", size))
    limit = limit if most is None else min(limit, most)
    number = _read(parameters["cursor"]) if "cursor" in parameters else 1
    start = min(total, int(parameters.get("offset", 0)) + (number - 1) * limit)
    stop = min(total, start + limit)
    return PageSlice(start, stop, _write(number + 1) if stop < total else None)


def single_page(total: int) -> PageSlice:
    """Everything on one page."""
    return PageSlice(0, total, None)


def _read(cursor: str) -> int:
    """The number of a page, from 1. Padded (as fal's page shows it) or not (as recorded)."""
    bare = cursor.rstrip("=")
    return max(1, int(base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))))


def _write(number: int) -> str:
    return base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")
