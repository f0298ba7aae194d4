"""Paths and queries of requests in fal's queue."""

from __future__ import annotations

from urllib.parse import quote

from ..request import without_none

__all__ = ["address_of", "logs_query"]

NAMESPACES = ("workflows", "comfy")  # whose applications have three parts


def address_of(model: str, request_id: str) -> str:
    """Return the path of a request: owner and application of its model, without the path of the endpoint."""
    parts = model.split("/")
    application = "/".join(parts[: 3 if parts[0] in NAMESPACES else 2])
    return f"/{quote(application)}/requests/{quote(request_id, safe='')}"


def logs_query(logs: bool | None) -> dict[str, object]:
    """Return the query that asks for log lines."""
    return without_none(logs=logs)
