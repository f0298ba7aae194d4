"""How lists of Go Bananas! are paged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from ...request import ClientRequest

__all__ = ["next_page"]


def next_page(request: ClientRequest[Any], page: Any) -> ClientRequest[Any] | None:
    """Return the request of the page after this one, or None at the end."""
    offset = page.pagination.offset + page.pagination.limit
    further = page.pagination.has_more and offset > cast("int", request.query.get("offset", 0))
    return replace(request, query={**request.query, "offset": offset}) if further else None
