"""How the clients read responses: documented errors, and bodies against the contract."""

from __future__ import annotations

import pytest
from pytest_httpserver import HTTPServer

from bananastand.clients import errors
from bananastand.clients.bananadev import BananaDev
from bananastand.clients.falai import FalAI

KEY = "at_r0123456789abcdef0123456789abcdef"
MODELS = {
    "message": "Request completed",
    "provider": "bananadev",
    "result": {"models": []},
    "response_headers": {"date": "now"},
}


def banana(httpserver: HTTPServer, **options: object) -> BananaDev:
    return BananaDev(KEY, base_url=httpserver.url_for(""), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequestError),
        (401, errors.AuthenticationError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (413, errors.PayloadTooLargeError),
        (429, errors.RateLimitError),
        (500, errors.ServerError),
        (503, errors.ServerError),
        (418, errors.TeapotError),
        (409, errors.APIStatusError),
    ],
)
def test_a_status_is_an_error_of_its_own_class(status: int, kind: type, httpserver: HTTPServer) -> None:
    body = {"message": "Error received from the falai API", "provider": "falai", "error": {"error": {
        "type": "not_found", "message": "Resource not found"}}}  # fmt: skip
    httpserver.expect_request("/v1/models").respond_with_json(body, status=status)

    with pytest.raises(kind) as caught, FalAI(KEY, base_url=httpserver.url_for(""), max_retries=0) as fal:
        fal.list_models()

    assert type(caught.value) is kind
    assert caught.value.status == status
    assert caught.value.body == body
    assert str(caught.value).endswith(f"/v1/models: {status} Resource not found")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "an empty body"),
        (b"<html><title>502</title></html>", "<html><title>502"),
        (b'{"message": "Request completed", "result": {"mod', "the answer is no JSON"),
        (b"[]", "the answer does not fit"),
        (b"null", "the answer does not fit"),
        (b'"models"', "the answer does not fit"),
        (b'{"result": {"models": "many"}}', "models: Input should be a valid list"),
        (b'{"result": {"models": [{"id": 4}]}}', "models.0.id: Input should be a valid string"),
        (b'{"result": ' + b"[" * 100_000, "the answer is no JSON"),
        (b"\xff\xfe\x00", "the answer is no JSON"),
    ],
    ids=["empty", "html", "truncated", "list", "null", "string", "wrong type", "wrong row", "deep", "no text"],
)
def test_an_invalid_answer_is_an_error_that_quotes_it(content: bytes, text: str, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/models").respond_with_data(content, content_type="application/json")

    with pytest.raises(errors.APIResponseError) as caught, banana(httpserver) as client:
        client.list_models()

    assert text in str(caught.value)
    assert len(httpserver.log) == 1, "asking again does not help"


def test_an_unknown_field_is_kept_or_refused_by_a_strict_client(httpserver: HTTPServer) -> None:
    answer = {**MODELS, "result": {"models": [], "total": 0}}
    httpserver.expect_request("/v1/models").respond_with_json(answer)

    with banana(httpserver) as client:
        assert client.list_models().model_extra == {"total": 0}
    with (
        banana(httpserver, strict=True) as client,
        pytest.raises(errors.APIResponseError, match=r"total: Extra inputs"),
    ):
        client.list_models()


# Tried again -----------------------------------------------------------------------------------------------------
