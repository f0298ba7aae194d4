"""PaperBanana's errors: condition to status and exact text.

The real service answers a wrong body with a list; the document promises a text in `detail` (D:60-64), and it wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bananastand.contracts.errors import Problem, Violation
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from .rules import ASPECT_RATIOS, CHOICES, VLM_PROVIDERS, layout_error

__all__ = ["is_admin", "render"]

TEXTS: Mapping[str, tuple[int, str]] = {
    "unauthorized": (401, "Missing or invalid Authorization header"),
    "unknown_key": (401, "Invalid API key"),
    "wrong_admin_key": (401, "Invalid admin key"),
    "disabled": (403, "API key is disabled"),
    "quota_exhausted": (403, "Quota exhausted"),
    "task_not_found": (404, "Task not found"),
    "no_image": (404, "Image not available yet"),
    "key_not_found": (404, "API key not found"),
    "not_in_history": (404, "Task not found in history"),
    "unknown_route": (404, "Not Found"),
    "wrong_method": (405, "Method Not Allowed"),
    "too_large": (413, "Request body too large"),
    "invalid": (422, "Invalid request"),
    "malformed_json": (422, "JSON decode error"),
    "too_deep": (422, "JSON decode error: nested too deeply"),
    "rate_limited": (429, "Too Many Requests"),
    "not_configured": (500, "PAPERBANANA_ADMIN_KEY not configured"),
    "server_error": (500, "Internal Server Error"),
}
STATUSES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict",
            422: "Unprocessable Content", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
            503: "Service Unavailable", 504: "Gateway Timeout"}  # fmt: skip
TYPES = re.compile(r'"(\w+)"')
WORDS = {"object": "dictionary", "array": "list"}  # as pydantic, which the provider uses, calls them
BOUNDS = {
    "minimum": "Input should be greater than or equal to {}",
    "maximum": "Input should be less than or equal to {}",
    "minItems": "List should have at least {} items",
    "minLength": "String should have at least {} characters",
}


def render(problem: Problem, call: ApiCall | None) -> ApiResponse:
    """The answer to a problem: `{"detail": text}`."""
    if problem.condition == "fault":
        status = problem.status or 500
        text = problem.message or STATUSES.get(status, "Internal Server Error")
    elif problem.condition == "unknown_credential":
        status, text = TEXTS["wrong_admin_key" if call is not None and is_admin(call) else "unknown_key"]
    elif problem.condition == "violation":
        status, text = 422, _violation_text(problem.violations[0], call)
    else:
        status, text = TEXTS[problem.condition]
        if problem.condition == "malformed_json":
            text = f"{text}: {problem.message}"
        elif problem.condition == "invalid":
            text = problem.message
    answer = ApiResponse({"detail": text}, status)
    return answer


def is_admin(call: ApiCall) -> bool:
    """Whether the call is to an address that asks for the admin key (D:35)."""
    return call.operation.template.startswith("/api/admin/")


def _violation_text(violation: Violation, call: ApiCall | None) -> str:
    """The field and the rule it breaks, in a sentence."""
    field, name = violation.field or violation.where, violation.field.partition(".")[0]
    if violation.rule == "required":
        return f"{field}: Field required"
    if name == "layout" and violation.rule == "pattern" and call is not None:
        return layout_error(call.body["layout"]) or "layout: String should match RxC"
    if violation.rule in ("enum", "const"):
        return _choice_text(name, violation, call)
    if violation.rule == "type":
        types = TYPES.findall(violation.message.rpartition(" of type")[2])
        kind = next((name_of_type for name_of_type in types if name_of_type != "null"), "value")
        return f"{field}: Input should be a valid {WORDS.get(kind, kind)}"
    if violation.rule in BOUNDS:
        return f"{field}: {BOUNDS[violation.rule].format(re.findall(r'[0-9]+', violation.message)[-1])}"
    return f"{field}: {violation.message}"


def _choice_text(name: str, violation: Violation, call: ApiCall | None) -> str:
    """The text for a value outside of its choices."""
    if name == "aspect_ratio":
        return f"aspect_ratio must be one of: {', '.join(sorted(ASPECT_RATIOS))}"
    if name == "vlm_provider" and call is not None:
        return f"Unknown VLM provider: {_body_value(call, name)}. Available: {', '.join(sorted(VLM_PROVIDERS))}"
    if name == "output_formats":
        allowed = ("pdf", "png", "svg") if call is not None and call.operation.id == "create_plot" else ("png",)
        return f"{violation.field}: output_formats may hold {', '.join(allowed)}"
    return f"{name} must be one of: {', '.join(CHOICES[name])}" if name in CHOICES else f"{name}: {violation.message}"


def _body_value(call: ApiCall, name: str) -> Any:
    return str(call.body[name])[:100]
