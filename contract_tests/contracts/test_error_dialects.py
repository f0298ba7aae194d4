"""Every condition in every provider's dialect, word for word: those too that no caller brings about at will."""

from __future__ import annotations

from typing import Any

import pytest

from bananastand.contracts.errors import Problem, Violation
from bananastand_mocks.bananadev import errors as banana
from bananastand_mocks.falai import errors as falai
from bananastand_mocks.gobananas import errors as gobananas
from bananastand_mocks.lowcodeapi import errors as gateway
from bananastand_mocks.paperbanana import errors as paperbanana

BANANA = {
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
BANANA_FAULTS = {
    401: "Invalid API key",
    404: "Not found",
    418: "banana is a teapot",
    429: "Rate limit exceeded",
    500: "Internal server error",
    503: "Request failed.",
    504: "Gateway timeout",
}


def test_no_condition_is_left_out() -> None:
    assert BANANA.keys() == banana.TABLE.keys()
    assert FAL.keys() == falai.STATUSES.keys()
    assert GOBANANAS.keys() - {"fault", "server_error"} == gobananas.STATUSES.keys()
    assert PAPER.keys() == paperbanana.TEXTS.keys()


@pytest.mark.parametrize("condition", BANANA)
def test_bananas_json_and_queue(condition: str) -> None:
    status, text = BANANA[condition]

    whole, queued = (
        banana.render(Problem(condition)),
        banana.render_queue(Problem(condition), {"id": "a", "callID": ""}),
    )

    assert (whole.status, whole.body) == (status, {"message": text})
    if condition == "fault":
        assert (queued.status, queued.body) == (500, {"message": "error: Internal server error"})
    else:
        told = 429 if condition == "queue_full" else 200  # a status that clients know how to wait for
        assert (queued.status, queued.body) == (told, {"id": "a", "callID": "", "message": f"error: {text}"})


@pytest.mark.parametrize("condition", BANANA)
def test_bananas_run_url(condition: str) -> None:
    status, text = BANANA[condition]

    answer = banana.render_run(Problem(condition))

    if condition == "busy":
        assert (answer.status, answer.body) == (423, None)
    elif condition in ("malformed_json", "too_deep"):
        assert (answer.status, answer.body, answer.content_type) == (400, b"", "text/html; charset=utf-8")
    else:
        kind = "PotassiumError" if condition == "failed" else "BananaError" if status >= 500 else "UserError"
        told = f"An error occured.\n    Type: {kind}\n    StatusCode: {status}\n    Message: {text}\n"
        assert (answer.status, answer.body.decode(), answer.content_type) == (status, told, "text/plain; charset=utf-8")


@pytest.mark.parametrize("status", BANANA_FAULTS)
def test_bananas_faults(status: int) -> None:
    assert banana.text_of(Problem("fault", status=status)) == (status, BANANA_FAULTS[status])
    assert banana.text_of(Problem("fault", "as told", status=status)) == (status, "as told")


def test_what_banana_says_of_a_body() -> None:
    whole = Problem("violation", violations=(Violation("body", "", "type", "7 is not an object"),))
    field = Problem("violation", violations=(Violation("body", "name", "type", "7 is not text"),))

    assert banana.text_of(whole) == (400, "Invalid request parameters: 7 is not an object")
    assert banana.text_of(field) == (400, "Invalid request parameters: name: 7 is not text")
    assert banana.text_of(Problem("failed", "no model")) == (500, "no model")
    assert banana.text_of(Problem("malformed_json", "at 3")) == (400, "The body is not valid JSON")
    assert banana.text_of(Problem("too_large", "request entity too large")) == (413, "The body is too large")


FAL = {
    "invalid": (400, "validation_error", "Invalid request parameters"),
    "forbidden": (403, "authorization_error", "Access denied"),
    "not_found": (404, "not_found", "Resource not found"),
    "unknown_route": (404, "not_found", "Resource not found"),
    "wrong_method": (405, "validation_error", "Method not allowed"),
    "malformed_json": (400, "validation_error", "Invalid request parameters"),
    "too_deep": (400, "validation_error", "Invalid request parameters"),
    "too_large": (413, "validation_error", "Request body too large"),
    "unauthorized": (401, "authorization_error", "Authentication required"),
    "unknown_credential": (401, "authorization_error", "Authentication required"),
    "rate_limited": (429, "rate_limited", "Rate limit exceeded"),
    "violation": (400, "validation_error", "Invalid request parameters"),
    "server_error": (500, "server_error", "An unexpected error occurred"),
}


@pytest.mark.parametrize("condition", FAL)
def test_fals(condition: str) -> None:
    status, kind, text = FAL[condition]

    answer = falai.render(Problem(condition, "what we know of it"), "req_1")

    assert (answer.status, answer.body) == (status, {"error": {"type": kind, "message": text, "request_id": "req_1"}})


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (418, "validation_error", "Invalid request parameters"),
        (500, "server_error", "An unexpected error occurred"),
        (501, "not_implemented", "Not implemented"),
        (503, "server_error", "An unexpected error occurred"),
    ],
)
def test_fals_faults(status: int, kind: str, text: str) -> None:
    answer, told = (falai.render(Problem("fault", words, status=status)) for words in ("", "as told"))

    assert (answer.status, answer.body) == (status, {"error": {"type": kind, "message": text}})
    assert told.body == {"error": {"type": kind, "message": "as told"}}
    assert falai.render(Problem("fault")).status == 500


GOBANANAS = {
    "invalid": (400, "BAD_REQUEST", "Invalid parameters"),
    "forbidden": (403, "FORBIDDEN", "Tenant access denied"),
    "not_found": (404, "NOT_FOUND", "Resource not found"),
    "quota_exceeded": (429, "QUOTA_EXCEEDED", "Quota exceeded"),
    "unknown_route": (404, "NOT_FOUND", "Resource not found"),
    "wrong_method": (405, "METHOD_NOT_ALLOWED", "Method not allowed"),
    "malformed_json": (400, "BAD_REQUEST", "Invalid parameters: "),
    "too_deep": (400, "BAD_REQUEST", "Invalid parameters: "),
    "too_large": (413, "PAYLOAD_TOO_LARGE", "Request body too large"),
    "unauthorized": (401, "UNAUTHORIZED", "Invalid or missing API key"),
    "unknown_credential": (401, "UNAUTHORIZED", "Invalid or missing API key"),
    "rate_limited": (429, "RATE_LIMITED", "Rate limit exceeded"),
    "violation": (400, "BAD_REQUEST", "Invalid parameters: body: no"),
    "fault": (500, "INTERNAL_ERROR", "Internal server error"),
    "server_error": (500, "INTERNAL_ERROR", "Internal server error"),
}


@pytest.mark.parametrize("condition", GOBANANAS)
def test_gobananas(condition: str) -> None:
    status, code, text = GOBANANAS[condition]

    answer = gobananas.render(Problem(condition, violations=(Violation("body", "", "type", "no"),)), 1767225660.9)

    assert (answer.status, answer.body) == (status, {"error": text, "code": code})
    limits = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1767225660"}
    assert answer.headers == (limits if status == 429 else {})


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (402, "QUOTA_EXCEEDED", "Quota exceeded"),
        (418, "BAD_REQUEST", "Invalid parameters"),
        (503, "INTERNAL_ERROR", "Internal server error"),
    ],
)
def test_gobananas_faults(status: int, code: str, text: str) -> None:
    answer, told = (gobananas.render(Problem("fault", words, status=status), 0.0) for words in ("", "as told"))

    assert (answer.status, answer.body) == (status, {"error": text, "code": code})
    assert told.body == {"error": "as told", "code": code}


PAPER = {
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
    "invalid": (422, "as told"),
    "malformed_json": (422, "JSON decode error: as told"),
    "too_deep": (422, "JSON decode error: nested too deeply"),
    "rate_limited": (429, "Too Many Requests"),
    "not_configured": (500, "PAPERBANANA_ADMIN_KEY not configured"),
    "server_error": (500, "Internal Server Error"),
}
PAPER_FAULTS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    418: "Internal Server Error",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@pytest.mark.parametrize("condition", PAPER)
def test_paperbananas(condition: str) -> None:
    status, text = PAPER[condition]

    answer = paperbanana.render(Problem(condition, "as told"), None)

    assert (answer.status, answer.body) == (status, {"detail": text})


@pytest.mark.parametrize("status", PAPER_FAULTS)
def test_paperbananas_faults(status: int) -> None:
    answer, told = (paperbanana.render(Problem("fault", words, status=status), None) for words in ("", "as told"))

    assert (answer.status, answer.body) == (status, {"detail": PAPER_FAULTS[status]})
    assert told.body == {"detail": "as told"}
    assert paperbanana.render(Problem("fault"), None).status == 500


@pytest.mark.parametrize(
    ("condition", "status", "body"),
    [
        ("unknown_route", 404, {"message": "Not Found"}),
        ("wrong_method", 404, {"message": "Not Found"}),
        ("malformed_json", 400, {"message": "as told"}),
        ("too_deep", 400, {"message": "as told"}),
        ("too_large", 413, {"message": "request entity too large"}),
        ("unknown_credential", 403, {"message": "Invalid api_token", "provider": "falai", "error": {"code": 403}}),
        ("not_connected", 403, {
            "message": "No access token is associated with this api_token, authorize your falai with LowCodeAPI.",
            "provider": "falai", "error": {"code": 403},
        }),
    ],
)  # fmt: skip
def test_the_gateways(condition: str, status: int, body: dict[str, Any]) -> None:
    answer = gateway.refuse("falai", None, Problem(condition, "as told"))

    assert answer is not None
    assert (answer.status, answer.body) == (status, body)


def test_what_is_the_upstreams_to_answer() -> None:
    assert gateway.refuse("falai", None, Problem("not_found")) is None
    assert gateway.refuse("falai", None, Problem("violation")) is None


@pytest.mark.parametrize("render", [
    lambda problem: falai.render(problem),
    lambda problem: gobananas.render(problem, 0.0),
    lambda problem: paperbanana.render(problem, None),
])  # fmt: skip
def test_a_wrong_method_is_told_the_right_ones(render: Any) -> None:
    assert render(Problem("wrong_method", details={"allowed": ["GET", "POST"]})).headers["allow"] == "GET, POST"
