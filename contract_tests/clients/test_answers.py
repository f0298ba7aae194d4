"""Leg 3, what the clients make of answers: documented errors, and answers that no contract allows."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

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
    ("content", "told"),
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
def test_an_answer_that_does_not_fit_is_said_to(content: bytes, told: str, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/models").respond_with_data(content, content_type="application/json")

    with pytest.raises(errors.APIResponseError) as caught, banana(httpserver) as client:
        client.list_models()

    assert told in str(caught.value)
    assert len(httpserver.log) == 1, "asking again does not help"


def test_a_field_the_contract_does_not_know_is_kept_or_refused(httpserver: HTTPServer) -> None:
    answer = {**MODELS, "result": {"models": [], "total": 0}}
    httpserver.expect_request("/v1/models").respond_with_json(answer)

    with banana(httpserver) as client:
        assert client.list_models().model_extra == {"total": 0}
    with (
        banana(httpserver, strict=True) as client,
        pytest.raises(errors.APIResponseError, match=r"total: Extra inputs"),
    ):
        client.list_models()


def test_a_redirect_is_not_followed(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/models").respond_with_data("", status=302, headers={"Location": "/v1/account"})

    with pytest.raises(errors.APIStatusError) as caught, banana(httpserver) as client:
        client.list_models()

    assert caught.value.status == 302
    assert len(httpserver.log) == 1


def test_a_huge_answer_is_not_read_to_its_end(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bananastand.clients.client.LARGEST", 1_000_000)
    httpserver.expect_request("/v1/models").respond_with_data(b" " * 2_000_000)

    with pytest.raises(errors.APIResponseError, match="larger than 1000000 bytes"), banana(httpserver) as client:
        client.list_models()


@contextmanager
def listening(answer: bytes, *, pause: float = 0.0) -> Iterator[str]:
    """A server of one byte at a time, or of none; each connection is broken off at the end."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    for byte in answer:
                        time.sleep(pause)
                        try:
                            connection.send(bytes([byte]))
                        except OSError:
                            break

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_connection_that_breaks_off_is_tried_again_and_then_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bananastand.clients.session.FIRST_PAUSE", 0.001)
    with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{") as url, BananaDev(KEY, base_url=url) as client:
        with pytest.raises(errors.APIConnectionError) as caught:
            client.list_models()
        assert not isinstance(caught.value, errors.APITimeoutError)


@pytest.mark.parametrize("pause", [5.0, 0.03], ids=["silent", "drop by drop"])
def test_an_answer_that_takes_too_long_is_not_waited_for(pause: float) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b" " * 5000
    started = time.monotonic()
    with (
        listening(answer, pause=pause) as url,
        BananaDev(KEY, base_url=url, timeout=2.0 if pause < 1 else 0.3, max_retries=0) as client,
        pytest.raises(TimeoutError) as caught,
    ):
        client.list_models()
    assert isinstance(caught.value, errors.APITimeoutError)
    assert time.monotonic() - started < 4


def test_nobody_listens() -> None:
    client = BananaDev(KEY, base_url="http://127.0.0.1:9", max_retries=0)
    with client, pytest.raises(errors.APIConnectionError, match="http://127.0.0.1:9/v1/models"):
        client.list_models()


# Tried again -----------------------------------------------------------------------------------------------------


class Failing:
    """Refuses so many times, then answers."""

    def __init__(self, times: int, status: int = 503, headers: dict[str, str] | None = None) -> None:
        self.times, self.status, self.headers = times, status, headers or {}
        self.at: list[float] = []

    def __call__(self, request: Request) -> Response:
        self.at.append(time.monotonic())
        if len(self.at) <= self.times:
            return Response("{}", self.status, self.headers)
        return Response(json.dumps(MODELS), content_type="application/json")


def test_a_read_is_tried_again(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bananastand.clients.session.FIRST_PAUSE", 0.001)
    failing = Failing(2)
    httpserver.expect_request("/v1/models").respond_with_handler(failing)

    with banana(httpserver) as client:
        assert client.list_models().models == []

    assert len(failing.at) == 3


def test_what_may_have_been_done_is_not_done_again(httpserver: HTTPServer) -> None:
    failing = Failing(9)
    httpserver.expect_request("/v1/run").respond_with_handler(failing)

    with banana(httpserver) as client, pytest.raises(errors.ServerError):
        client.run("value", {})

    assert len(failing.at) == 1


def test_a_provider_says_when_to_come_back(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bananastand.clients.session.FIRST_PAUSE", 0.001)
    failing = Failing(1, 429, {"Retry-After": "1"})
    httpserver.expect_request("/v1/models").respond_with_handler(failing)

    with banana(httpserver) as client:
        client.list_models()

    first, second = failing.at
    assert 1.0 <= second - first < 3


def test_a_provider_that_wants_to_be_left_alone_is(httpserver: HTTPServer) -> None:
    failing = Failing(1, 429, {"Retry-After": "3600"})
    httpserver.expect_request("/v1/models").respond_with_handler(failing)

    with banana(httpserver) as client, pytest.raises(errors.RateLimitError) as caught:
        client.list_models()

    assert caught.value.headers["retry-after"] == "3600"
    assert len(failing.at) == 1


def test_reads_are_kept_where_asked_for_until_something_is_changed(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/models").respond_with_json(MODELS)
    httpserver.expect_request("/v1/run").respond_with_json({"message": "no"}, status=400)

    with banana(httpserver, cache_ttl=60) as client:
        client.list_models()
        client.list_models()
        assert len(httpserver.log) == 1
        with pytest.raises(errors.BadRequestError):
            client.run("value", {})
        client.list_models()
    assert len(httpserver.log) == 3


def test_a_missing_key_is_said_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOWCODEAPI_TOKEN", raising=False)

    with BananaDev() as client, pytest.raises(errors.MissingKey, match="set LOWCODEAPI_TOKEN"):
        client.list_models()
