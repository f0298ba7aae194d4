"""Errors that a caller cannot cause: each provoked by a fault, with its provider's text; and the text of a test's own.

Texts of fal are C:139's, those of Go Bananas! B:27's; PaperBanana and fal's queue (FastAPI) use the reason phrases of
HTTP.
"""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from bananastand_mocks.running import MockSession

ADDRESSES = {
    "fal-native": "/v1/models",
    "fal-queue": "/fal-ai/flux/requests/a",
    "gobananas": "/api/profile",
    "paperbanana": "/api/tasks/a",
}
HEADERS = {
    "fal-native": lambda key: {"authorization": f"Key {key}"},
    "fal-queue": lambda key: {"authorization": f"Key {key}"},
    "gobananas": lambda key: {"x-api-key": key},
    "paperbanana": lambda key: {"authorization": f"Bearer {key}"},
}
FAL_INVALID = ("validation_error", "Invalid request parameters")
FAL_FAILED = ("server_error", "An unexpected error occurred")
CASES: list[tuple[str, int, Any]] = [
    ("fal-native", 418, {"error": {"type": FAL_INVALID[0], "message": FAL_INVALID[1]}}),
    ("fal-native", 500, {"error": {"type": FAL_FAILED[0], "message": FAL_FAILED[1]}}),
    ("fal-native", 501, {"error": {"type": "not_implemented", "message": "Not implemented"}}),
    ("fal-native", 503, {"error": {"type": FAL_FAILED[0], "message": FAL_FAILED[1]}}),
    ("fal-queue", 402, {"detail": "Payment Required"}),
    ("fal-queue", 418, {"detail": "I'm a Teapot"}),
    ("fal-queue", 502, {"detail": "Bad Gateway"}),
    ("fal-queue", 503, {"detail": "Service Unavailable"}),
    ("fal-queue", 599, {"detail": "Internal Server Error"}),
    ("gobananas", 402, {"error": "Quota exceeded", "code": "QUOTA_EXCEEDED"}),
    ("gobananas", 418, {"error": "Invalid parameters", "code": "BAD_REQUEST"}),
    ("gobananas", 503, {"error": "Internal server error", "code": "INTERNAL_ERROR"}),
    ("paperbanana", 400, {"detail": "Bad Request"}),
    ("paperbanana", 401, {"detail": "Unauthorized"}),
    ("paperbanana", 403, {"detail": "Forbidden"}),
    ("paperbanana", 404, {"detail": "Not Found"}),
    ("paperbanana", 409, {"detail": "Conflict"}),
    ("paperbanana", 418, {"detail": "Internal Server Error"}),
    ("paperbanana", 422, {"detail": "Unprocessable Content"}),
    ("paperbanana", 429, {"detail": "Too Many Requests"}),
    ("paperbanana", 500, {"detail": "Internal Server Error"}),
    ("paperbanana", 502, {"detail": "Bad Gateway"}),
    ("paperbanana", 503, {"detail": "Service Unavailable"}),
    ("paperbanana", 504, {"detail": "Gateway Timeout"}),
]


def send(stand: MockSession, provider: str, method: str = "GET") -> httpx2.Response:
    at = stand.endpoint(provider)
    return httpx2.request(method, f"{at.base_url}{ADDRESSES[provider]}", headers=HEADERS[provider](at.key))


def without_request_id(body: Any) -> Any:
    if isinstance(body.get("error"), dict):
        body["error"].pop("request_id", None)
    return body


@pytest.mark.parametrize(("provider", "status", "body"), CASES)
def test_a_provoked_status_has_its_providers_text(provider: str, status: int, body: Any, stand: MockSession) -> None:
    stand.faults.next_calls(1, "status", status=status)

    response = send(stand, provider)

    assert (response.status_code, without_request_id(response.json())) == (status, body)


@pytest.mark.parametrize("provider", ADDRESSES)
def test_a_provoked_error_has_the_message_that_a_test_chose(provider: str, stand: MockSession) -> None:
    stand.faults.next_calls(1, "status", status=500, message="out of bananas")

    response = send(stand, provider)

    assert response.status_code == 500
    assert "out of bananas" in response.text


@pytest.mark.parametrize(
    ("provider", "text"),
    [("fal-native", "Method not allowed"), ("gobananas", "Method not allowed"), ("paperbanana", "Method Not Allowed")],
)
def test_a_wrong_method_names_the_allowed_ones(provider: str, text: str, stand: MockSession) -> None:
    response = send(stand, provider, "PATCH")

    assert (response.status_code, response.headers["allow"]) == (405, "GET")
    assert text in response.text


def test_several_allowed_methods_are_separated_by_commas(stand: MockSession) -> None:
    names = ("fal-native", "gobananas", "paperbanana")
    fal, bananas, paper = (stand.endpoint(provider) for provider in names)
    urls = [
        f"{fal.base_url}/v1/compute/instances",
        f"{bananas.base_url}/api/images",
        f"{paper.base_url}/api/admin/keys",
    ]

    assert [httpx2.patch(url).headers["allow"] for url in urls] == ["GET, POST"] * 3
