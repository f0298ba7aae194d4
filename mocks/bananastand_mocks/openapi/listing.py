"""Answers a list: the collection's resources, filtered and in pages by the query's usual names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from .answers import Answers
from .roles import Collection
from .schema_shapes import Shapes
from .store import Store

__all__ = ["list_page"]

LIMITS = ("limit", "per_page", "perPage", "page_size", "pageSize", "size", "max_results", "count", "first")
OFFSETS = ("offset", "skip", "start")
PAGES = ("page", "page_number", "pageNumber")
CURSORS = ("cursor", "after", "page_token", "pageToken", "starting_after", "next_token", "continuation_token")
TOTALS = ("total", "total_count", "totalCount", "total_items", "totalItems", "total_results")
NEXT = ("next_cursor", "nextCursor", "next_page_token", "nextPageToken", "next_token", "nextToken", "cursor")
MORE = ("has_more", "hasMore", "has_next", "hasNext", "more")


def list_page(call: ApiCall, collection: Collection, store: Store, shapes: Shapes, answers: Answers) -> ApiResponse:
    """Return the list that a call asks for.

    A query parameter with the name of a field filters. `limit`, `offset`, `page`, `cursor` and their like choose a
    page, and fields such as `total` and `has_more` beside the list say what is left.
    """
    response = answers.respond(call)
    place = shapes.list_path(shapes.success(call.operation))
    if place is None or not isinstance(response.body, dict | list):
        return response
    fields = shapes.properties(collection.schema)
    rows = [row for row in store.list(call, collection) if _matches(row, call.parameters, call.query, fields)]
    limit, first = _window(call.parameters)
    page = rows[first : first + limit] if limit is not None else rows[first:]
    if not place or not isinstance(response.body, dict):
        response.body = page
        return response
    end = first + len(page)
    response.body = {**response.body, place[0]: page}
    _describe_page(response.body, shapes.properties(shapes.success(call.operation)), len(rows), end, shapes)
    return response


def _matches(
    row: Mapping[str, Any], parameters: Mapping[str, Any], query: Mapping[str, Any], fields: Mapping[str, Any]
) -> bool:
    for name in query:
        if name in fields and name in parameters:
            expected, value = parameters[name], row.get(name)
            allowed: Sequence[Any] = expected if isinstance(expected, list) else [expected]
            if value not in allowed and not (isinstance(value, list) and any(item in value for item in allowed)):
                return False
    return True


def _window(parameters: Mapping[str, Any]) -> tuple[int | None, int]:
    """How many resources, and after how many."""
    limit = _number(parameters, LIMITS)
    if (offset := _number(parameters, OFFSETS)) is not None:
        return limit, offset
    if (page := _number(parameters, PAGES)) is not None and limit is not None:
        return limit, max(0, page - 1) * limit
    return limit, _number(parameters, CURSORS) or 0


def _number(parameters: Mapping[str, Any], names: Sequence[str]) -> int | None:
    for name in names:
        value = parameters.get(name)
        if isinstance(value, int) or (isinstance(value, str) and value.isdecimal() and len(value) < 10):
            return max(0, int(value))
    return None


def _describe_page(body: dict[str, Any], properties: Mapping[str, Any], total: int, end: int, shapes: Shapes) -> None:
    for name in TOTALS:
        if name in body:
            body[name] = total
    for name in MORE:
        if name in body:
            body[name] = end < total
    for name in NEXT:
        if name in properties:
            if end < total:
                body[name] = str(end)
            elif shapes.allows_null(properties[name]):
                body[name] = None
            else:
                body.pop(name, None)
