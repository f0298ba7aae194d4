"""How lists of Go Bananas! are paged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from ...request import ClientRequest

__all__ = ["next_page"]


def next_page(request: ClientRequest[Any], page: Any) -> ClientRequest[Any] | None:
    """Return the request of the page after this one, or None at the end."""
    part = page.pagination
    if part is None or not (part.has_more or getattr(part, "hasMore", False)):
        return None
    here = cast("int", request.query.get("offset", 0))
    offset = (here if part.offset is None else part.offset) + (part.limit or 0)
    return replace(request, query={**request.query, "offset": offset}) if offset > here else None
