"""Go Bananas!' errors: condition to status, code and text, and the one renderer of the envelope.

Of the codes only NOT_FOUND is documented (B:349). `invalid`, `not_found`, `forbidden`, `quota_exceeded` and
`painting_failed` are raised here, the other conditions are the kernel's.
"""

from __future__ import annotations

from bananastand.contracts.errors import Problem
from bananastand.contracts.response import ApiResponse

__all__ = ["MINUTE", "render"]

MINUTE = 60.0

KINDS: dict[int, tuple[str, str]] = {
    400: ("BAD_REQUEST", "Invalid parameters"),
    401: ("UNAUTHORIZED", "Invalid or missing API key"),
    402: ("QUOTA_EXCEEDED", "Quota exceeded"),
    403: ("FORBIDDEN", "Tenant access denied"),
    404: ("NOT_FOUND", "Resource not found"),
    405: ("METHOD_NOT_ALLOWED", "Method not allowed"),
    413: ("PAYLOAD_TOO_LARGE", "Request body too large"),
    429: ("RATE_LIMITED", "Rate limit exceeded"),
    500: ("INTERNAL_ERROR", "Internal server error"),
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
}


def render(problem: Problem, reset: float) -> ApiResponse:
    """The answer to a problem: `{"error", "code"}` (B:346-351); a 429 says when to come again (B:371-375).

    `reset` is when, in seconds since 1970, where the problem does not say so itself. A fault of a status that is not
    documented has the code of 400 or 500.
    """
    status = problem.status or STATUSES.get(problem.condition, 500)
    code, text = KINDS.get(status, KINDS[400 if status < 500 else 500])
    if problem.condition == "quota_exceeded":
        code, text = KINDS[402]
    answer = ApiResponse({"error": _text(problem, text), "code": code}, status)
    if status == 429:
        answer.headers["x-ratelimit-remaining"] = "0"
        answer.headers["x-ratelimit-reset"] = str(int(problem.details.get("reset", reset)))
    return answer


def _text(problem: Problem, usual: str) -> str:
    """The status's text, with the violation if the caller can correct it."""
    if problem.condition == "violation":
        first = problem.violations[0]
        return f"{usual}: {first.field or first.where}: {first.message}"
    if problem.condition in ("malformed_json", "too_deep"):
        return f"{usual}: {problem.message}"
    if problem.condition in ("invalid", "not_found", "fault") and problem.message:
        return problem.message
    return usual
