"""Words refusals as the document does, else as RFC 9457: application/problem+json."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from bananastand.contracts.errors import Problem
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from .answers import Answers
from .schema_shapes import json_media
from .values import MISSING

__all__ = ["refusal"]

STATUSES: Mapping[str, int] = {
    "unknown_route": 404,
    "not_found": 404,
    "wrong_method": 405,
    "not_acceptable": 406,
    "conflict": 409,
    "too_large": 413,
    "unsupported_type": 415,
    "unauthorized": 401,
    "rate_limited": 429,
    "server_error": 500,
}
INVALID = (422, 400)  # the status of a request that does not fit: the first that the operation names
TEXTS: Mapping[str, str] = {
    "unknown_route": "no operation has this path",
    "wrong_method": "the path has no operation with this method",
    "unauthorized": "the credential is missing",
    "rate_limited": "too many requests: try again later",
    "too_large": "the body is too large",
    "server_error": "the mock failed: its log has the reason",
}
MESSAGES = ("message", "detail", "error", "error_message", "errorMessage", "description", "msg", "title", "reason")
CODES = ("status", "code", "statusCode", "status_code")


def refusal(call: ApiCall | None, problem: Problem, answers: Answers) -> ApiResponse:
    """Return the response of a refusal: of the form that the document has for the status, with the message in it."""
    status = problem.status or STATUSES.get(problem.condition) or _invalid(call)
    message = _message(problem)
    if call is not None:
        spec = answers.response(call, status)
        for kind, media in (spec or {}).get("content", {}).items():
            if "json" in kind and json_media(spec):
                body = answers.example(media)
                body = answers.draw_fitting(call, status, kind, media.get("schema", {})) if body is MISSING else body
                return ApiResponse(_with_message(body, message, status), status, content_type=kind)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
    }
    if problem.violations:
        body["errors"] = [
            {"in": violation.where, "field": violation.field, "rule": violation.rule, "message": violation.message}
            for violation in problem.violations
        ]
    return ApiResponse(body, status, content_type="application/problem+json")


def _message(problem: Problem) -> str:
    if problem.violations:
        return "; ".join(
            f"{'.'.join(part for part in (violation.where, violation.field) if part)}: {violation.message}"
            for violation in problem.violations
        )
    return problem.message or TEXTS.get(problem.condition, problem.condition.replace("_", " "))


def _invalid(call: ApiCall | None) -> int:
    named = call.operation.statuses if call is not None else ()
    return next((status for status in INVALID if str(status) in named), 400)


def _with_message(body: Any, message: str, status: int) -> Any:
    """The document's error with our text in its first field for one, and the status where it has one."""
    if not isinstance(body, dict):
        return body
    filled = dict(body)
    for name in MESSAGES:
        if isinstance(filled.get(name), str):
            filled[name] = message
            break
        if isinstance(filled.get(name), dict):
            filled[name] = _with_message(filled[name], message, status)
            break
    for name in CODES:
        if isinstance(filled.get(name), int) and not isinstance(filled[name], bool):
            filled[name] = status
    return filled
