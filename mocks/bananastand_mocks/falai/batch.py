"""Many requests in one (C:279-324).

fal's own API has no such operation, and document C does not say what an item is: it is a method, a path below /v1/,
params for the query (C:309-320) and a body for those that take one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from bananastand.contracts.errors import Problem
from bananastand.contracts.response import ApiResponse

from .errors import render

__all__ = ["batch"]

Dispatch = Callable[[str, str, dict[str, Any], Any], Awaitable[ApiResponse]]


async def batch(body: dict[str, Any], dispatch: Dispatch) -> dict[str, Any]:
    """Each request's own status and body, in their order; a bad one is refused in its place."""
    return {"responses": [await _answer(request, dispatch) for request in body["requests"]]}


async def _answer(item: Any, dispatch: Dispatch) -> dict[str, Any]:
    request = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
    method, path, params = request.get("method"), request.get("path"), request.get("params", {})
    if isinstance(method, str) and isinstance(path, str) and isinstance(params, dict) and _allowed(path):
        query = dict(cast("dict[str, Any]", params))
        answer = await dispatch(method.upper(), path, query, request.get("body"))
    else:
        answer = render(Problem("invalid"))
    return {"status": answer.status, "body": answer.body}


def _allowed(path: str) -> bool:
    return path.startswith("/v1/") and path.rstrip("/") != "/v1/batch"
