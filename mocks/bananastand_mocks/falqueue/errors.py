"""fal's errors on its inference API: condition to status and body.

`detail` is a text, or a list of what is wrong with the input, as FastAPI and pydantic write it; an error of the
infrastructure has `error_type` beside it.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from bananastand.contracts.errors import Problem, Violation
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall

__all__ = ["error_response", "render"]

TEXTS: dict[str, tuple[int, str]] = {
    "in_progress": (400, "Request is still in progress"),
    "unauthorized": (401, "Authentication is required to access this application"),
    "unknown_credential": (401, "No user found for Key ID and Secret"),
    "malformed_key": (401, "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."),
    "unknown_application": (404, "Application '{}' not found"),
    "request_not_found": (404, "Request not found"),
    "file_not_found": (404, "File not found"),
    "unknown_route": (404, "Not Found"),
    "wrong_method": (405, "Method Not Allowed"),
    "too_large": (413, "Request body too large"),
    "rate_limited": (429, "Rate limit exceeded"),
    "server_error": (500, "Internal Server Error"),
}
PHRASES = {status.value: status.phrase for status in HTTPStatus} | {422: "Unprocessable Content",
           499: "Client Closed Request"}  # fmt: skip
JSON_ERROR = re.compile(r"(.*): line \d+ column \d+ \(char (\d+)\)")
TYPES = {
    '"object"': ("model_attributes_type", "Input should be a valid dictionary or object to extract fields from"),
    '"string"': ("string_type", "Input should be a valid string"),
    '"integer"': ("int_type", "Input should be a valid integer"),
    '"array"': ("list_type", "Input should be a valid list"),
}
# What pydantic says of a limit, by the keyword of the schema and the text of the violation.
LIMITS = {
    "minimum": ("greater_than_equal", r".* minimum of (\S+)", r"Input should be greater than or equal to \1"),
    "maximum": ("less_than_equal", r".* maximum of (\S+)", r"Input should be less than or equal to \1"),
    "minItems": ("too_short", r".* less than (\d+ items?)", r"List should have at least \1 after validation"),
}


def render(problem: Problem, call: ApiCall | None) -> ApiResponse:
    """Render a problem as {"detail": ...}."""
    match problem.condition:
        case "fault":
            status = problem.status or HTTPStatus.INTERNAL_SERVER_ERROR.value
            return error_response(status, problem.message or PHRASES.get(status, "Internal Server Error"))
        case "violation":
            return error_response(422, [_violation_item(violation) for violation in problem.violations])
        case "malformed_json" | "too_deep":
            return error_response(422, [_json_item(problem.message)])
        case "unknown_credential" if call is not None and ":" not in call.headers.get("authorization", ""):
            return error_response(*TEXTS["malformed_key"])
        case condition:
            status, text = TEXTS[condition]
            return error_response(status, text.format(problem.message))


def error_response(status: int, detail: Any) -> ApiResponse:
    """Return an error: a text, or a list of what is wrong with the input."""
    return ApiResponse({"detail": detail}, status)


def _json_item(message: str) -> dict[str, Any]:
    """The error of a body that is no JSON, with the place in it, as FastAPI writes it."""
    match = JSON_ERROR.fullmatch(message)
    text, place = (message, "0") if match is None else match.groups()
    kind = {"type": "json_invalid", "loc": ["body", int(place)], "msg": "JSON decode error", "input": {}}
    return {**kind, "ctx": {"error": text}}


def _violation_item(violation: Violation) -> dict[str, Any]:
    kind, text = violation.rule, violation.message
    if violation.rule == "required":
        kind, text = "missing", "Field required"
    elif violation.rule == "type":
        kind, text = TYPES.get(violation.message.rpartition("of type ")[2], (kind, text))
    elif violation.rule in LIMITS:
        kind, pattern, replacement = LIMITS[violation.rule]
        text = re.sub(pattern, replacement, violation.message)
    place = [int(part) if part.isdigit() else part for part in violation.field.split(".") if part]
    return {"loc": [violation.where, *place], "msg": text, "type": kind}
