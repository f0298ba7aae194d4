"""The client for Potassium apps, against a server that says whatever a test wants."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from bananastand.clients.potassium import AppError, AppUnreachable, Event, PotassiumApp


@pytest.fixture
def app(httpserver: HTTPServer) -> Iterator[PotassiumApp]:
    with PotassiumApp(httpserver.url_for("/"), timeout=5) as opened:
        yield opened


def streams(httpserver: HTTPServer, text: str) -> None:
    httpserver.expect_request("/stream", method="POST").respond_with_response(
        Response(text, content_type="text/event-stream")
    )


def test_run_posts_the_body_and_returns_the_answer(app: PotassiumApp, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/", method="POST", json={"prompt": "a pear"}).respond_with_json({"output": "x"})

    assert app.run({"prompt": "a pear"}) == {"output": "x"}


def test_run_may_name_another_route(app: PotassiumApp, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/background", method="POST").respond_with_json({"started": True})

    assert app.run({}, "/background") == {"started": True}


def test_a_url_may_have_a_path_of_its_own(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/apps/one/stream", method="POST").respond_with_data("event: a\ndata: {}\n\n")

    with PotassiumApp(httpserver.url_for("/apps/one/")) as app:
        assert list(app.stream({})) == [Event("a", {})]


def test_an_error_answer_carries_its_status_message_and_body(app: PotassiumApp, httpserver: HTTPServer) -> None:
    error_body = {"error": {"code": "wrong_type", "message": "seed must be a whole number", "field": "seed"}}
    httpserver.expect_request("/").respond_with_json(error_body, status=400)

    with pytest.raises(AppError, match="seed must be a whole number") as caught:
        app.run({"seed": "x"})
    assert (caught.value.status, caught.value.body) == (400, error_body)


def test_an_empty_400_is_an_error_too(app: PotassiumApp, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data("", status=400)

    with pytest.raises(AppError, match="answered 400"):
        app.run({})


@pytest.mark.parametrize("text", ["[]", "hello", "null", ""])
def test_an_answer_that_is_no_object_is_an_error(app: PotassiumApp, httpserver: HTTPServer, text: str) -> None:
    httpserver.expect_request("/").respond_with_data(text, content_type="application/json")

    with pytest.raises(AppError, match="no JSON object"):
        app.run({})


def test_events_are_cut_as_the_standard_says(app: PotassiumApp, httpserver: HTTPServer) -> None:
    streams(
        httpserver, ': a comment\nevent: step\ndata: {"step":\ndata: 1}\nid: 7\n\ndata:{"a": 2}\n\n\nevent: no data\n\n'
    )

    assert list(app.stream({})) == [Event("step", {"step": 1}), Event("message", {"a": 2})]


def test_an_error_event_is_raised(app: PotassiumApp, httpserver: HTTPServer) -> None:
    streams(httpserver, f"event: error\ndata: {json.dumps({'error': {'message': 'painting failed'}})}\n\n")

    with pytest.raises(AppError, match="painting failed"):
        list(app.stream({}))


@pytest.mark.parametrize("data", ["{", "[]", "7"])
def test_an_event_that_is_no_object_is_an_error(app: PotassiumApp, httpserver: HTTPServer, data: str) -> None:
    streams(httpserver, f"data: {data}\n\n")

    with pytest.raises(AppError, match="no JSON object"):
        list(app.stream({}))


def test_a_stream_that_is_refused_carries_the_error(app: PotassiumApp, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/stream").respond_with_json({"error": {"message": "no prompt"}}, status=400)

    with pytest.raises(AppError, match="no prompt") as caught:
        list(app.stream({}))
    assert caught.value.status == 400


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "127.0.0.1:9", "http://127.0.0.1:port", "ftp://127.0.0.1/"])
def test_a_url_where_nothing_answers_is_named(url: str) -> None:
    with pytest.raises(AppUnreachable, match=r"127\.0\.0\.1|no URL"), PotassiumApp(url) as app:
        app.run({})
