"""Banana's errors in their three forms.

JSON with a message on the management API and behind LowCodeAPI (every SDK reads errors as JSON); status 200 with a
message that has "error" in it on start and check; three indented lines of text on a project's run URL. The texts of the
first two are inferred, those of the third are Banana's own.
"""

from __future__ import annotations

from bananastand.contracts.errors import Problem
from bananastand.contracts.response import ApiResponse

__all__ = ["render", "render_queue", "render_run", "text_of"]

TABLE: dict[str, tuple[int, str]] = {
    "unknown_route": (404, "Not found"),
    "wrong_method": (405, "Method not allowed"),
    "malformed_json": (400, "The body is not valid JSON"),
    "too_deep": (400, "The body is nested too deeply"),
    "too_large": (413, "The body is too large"),
    "unauthorized": (401, "An API key is required"),
    "unknown_credential": (401, "Invalid API key"),
    "rate_limited": (429, "Rate limit exceeded"),
    "violation": (400, "Invalid request parameters"),
    "server_error": (500, "Internal server error"),
    "fault": (500, "Internal server error"),
    "model_not_found": (404, "Model not found"),
    "run_not_found": (404, "Run not found"),
    "project_not_found": (404, "Project not found"),
    "upload_not_found": (404, "Upload not found"),
    "upload_refused": (403, "No upload was asked for under this key"),
    "dates_inverted": (400, "Invalid request parameters: startDate is after endDate"),
    "no_replicas": (400, "You have no available replicas to process this request"),
    "queue_full": (429, "Too many calls are waiting"),
    "busy": (423, ""),
    "timed_out": (504, "Gateway timeout"),
    "failed": (500, "Request failed."),
    "unavailable": (503, "Request failed."),
}
FAULTS = {
    401: "Invalid API key",
    404: "Not found",
    418: "banana is a teapot",
    429: "Rate limit exceeded",
    503: "Request failed.",
    504: "Gateway timeout",
}
TYPES = {"failed": "PotassiumError"}


def text_of(problem: Problem) -> tuple[int, str]:
    """Return status and text; a contract violation names the field and what is wrong with it."""
    status, text = TABLE[problem.condition]
    if problem.condition == "violation" and problem.violations:
        first = problem.violations[0]
        text = f"{text}: {first.message}" if not first.field else f"{text}: {first.field}: {first.message}"
    elif problem.condition == "fault":
        status = problem.status or status
        text = problem.message or FAULTS.get(status, text)
    elif problem.message and problem.condition not in ("malformed_json", "too_large"):
        text = problem.message
    return status, text


def render(problem: Problem) -> ApiResponse:
    """Render a problem as JSON with a message."""
    status, text = text_of(problem)
    return ApiResponse({"message": text}, status)


def render_queue(problem: Problem, run: dict[str, object]) -> ApiResponse:
    """Render a problem of start or check: the queue never answers anything but 200.

    Except where it takes no more calls: that has its own status, so that a client which knows Retry-After waits.

    Args:
        problem: The problem.
        run: The response around the error; its message is replaced.
    """
    status, text = text_of(problem)
    message = f"error: {text}"
    if problem.condition == "fault":
        return ApiResponse({"message": message}, status)
    return ApiResponse({**run, "message": message}, status if problem.condition == "queue_full" else 200)


def render_run(problem: Problem) -> ApiResponse:
    """Render a problem of a run URL as text; what Potassium itself answers is empty or a page of Flask's."""
    status, text = text_of(problem)
    if status == 423:
        return ApiResponse(None, status)
    if problem.condition in ("malformed_json", "too_deep"):
        return ApiResponse(b"", 400, content_type="text/html; charset=utf-8")
    kind = TYPES.get(problem.condition, "UserError" if status < 500 else "BananaError")
    lines = f"An error occured.\n    Type: {kind}\n    StatusCode: {status}\n    Message: {text}\n"
    return ApiResponse(lines.encode(), status, content_type="text/plain; charset=utf-8")
