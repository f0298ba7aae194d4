"""fal's errors: condition to status, type and exact text, and the one renderer of the envelope.

The conditions below `not_found` are the kernel's; `invalid`, `not_found` and `forbidden` are raised here.
"""

from __future__ import annotations

from typing import Any

from bananastand.contracts.errors import Problem
from bananastand.contracts.response import ApiResponse

__all__ = ["render"]

TEXTS: dict[int, tuple[str, str]] = {
    400: ("validation_error", "Invalid request parameters"),
    401: ("authorization_error", "Authentication required"),
    403: ("authorization_error", "Access denied"),
    404: ("not_found", "Resource not found"),
    405: ("validation_error", "Method not allowed"),
    413: ("validation_error", "Request body too large"),
    429: ("rate_limited", "Rate limit exceeded"),
    500: ("server_error", "An unexpected error occurred"),
    501: ("not_implemented", "Not implemented"),
}

STATUSES = {
    "invalid": 400,
    "forbidden": 403,
    "not_found": 404,
    "unknown_route": 404,
    "wrong_method": 405,
    "malformed_json": 400,
    "too_deep": 400,
    "too_large": 413,
    "unauthorized": 401,
    "unknown_credential": 401,
    "rate_limited": 429,
    "violation": 400,
    "server_error": 500,
}


def render(problem: Problem, request_id: str | None = None) -> ApiResponse:
    """The answer to a problem: `{"error": {"type", "message", "request_id"?}}`, the texts as fal publishes them.

    A fault keeps its status; one that fal does not publish has the text of 400 or 500.
    """
    status = problem.status or STATUSES.get(problem.condition, 500)
    kind, text = TEXTS.get(status, TEXTS[400 if status < 500 else 500])
    error: dict[str, Any] = {"type": kind, "message": problem.message if _has_own_text(problem) else text}
    if request_id is not None:
        error["request_id"] = request_id
    answer = ApiResponse({"error": error}, status)
    return answer


def _has_own_text(problem: Problem) -> bool:
    """Whether a test chose the text of a fault."""
    return problem.condition == "fault" and bool(problem.message)
