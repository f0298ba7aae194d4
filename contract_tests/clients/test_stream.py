"""The stream of statuses of fal's queue: what ends it, and the options of the call."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest

from bananastand.clients import AsyncFalQueue, FalQueue, errors

STREAM = {"content-type": "text/event-stream; charset=utf-8"}
QUEUED, DONE = {"status": "IN_QUEUE", "queue_position": 0}, {"status": "COMPLETED"}


def events(*states: Any) -> httpx2.Response:
    """A stream of these statuses, with a comment between them."""
    text = ": ping\n\n".join(f"data: {json.dumps(state)}\n\n" for state in states)
    return httpx2.Response(200, content=text.encode(), headers=STREAM)


def stream(kind: str, answer: Any, *, base_url: str | None = None, **options: Any) -> list[str]:
    """The statuses that one of the two clients reads from a stream."""
    transport = httpx2.MockTransport(answer)
    if kind == "sync":
        with FalQueue("key", base_url=base_url, transport=transport) as fal:
            return [state.status for state in fal.stream("acme/app", "r1", **options)]

    async def wait() -> list[str]:
        async with AsyncFalQueue("key", base_url=base_url, transport=transport) as fal:
            return [state.status async for state in fal.stream("acme/app", "r1", **options)]

    return asyncio.run(wait())


KINDS = pytest.mark.parametrize("kind", ["sync", "async"])


@KINDS
@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (lambda: events(), errors.APIConnectionError, "the stream broke off while the request was IN_QUEUE"),
        (lambda: events(QUEUED, {"status": "IN_PROGRESS"}), errors.APIConnectionError, "the request was IN_PROGRESS"),
        (lambda: events(QUEUED, {"status": 5}), errors.APIResponseError, "the event is no status"),
        (lambda: httpx2.Response(200, json=DONE), errors.APIResponseError, "no stream of events: application/json"),
        (
            lambda: httpx2.Response(404, json={"detail": "Request not found"}),
            errors.NotFoundError,
            "404 Request not found",
        ),
        (lambda: httpx2.Response(302, headers={"location": "/"}), errors.APIStatusError, "302"),
    ],
    ids=["empty", "broken off", "no status", "no stream", "unknown", "redirect"],
)
def test_a_stream_without_a_completed_request_is_an_error(kind: str, answer: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        stream(kind, lambda request: answer())


@KINDS
def test_a_stream_waits_for_an_event_as_long_as_for_any_answer(kind: str) -> None:
    requests: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return events(QUEUED, DONE)

    assert stream(kind, answer) == ["IN_QUEUE", "COMPLETED"]
    assert stream(kind, answer, timeout=7.0, headers={"X-Trace": "7"}, logs=True) == ["IN_QUEUE", "COMPLETED"]

    assert [request.extensions["timeout"]["read"] for request in requests] == [60.0, 7.0]
    assert (requests[1].headers["x-trace"], requests[1].url.query) == ("7", b"logs=true")


@KINDS
@pytest.mark.parametrize(
    ("raised", "sent"), [(httpx2.ConnectError("refused"), False), (httpx2.ReadTimeout("timed out"), True)]
)
def test_a_stream_says_whether_the_request_was_sent(kind: str, raised: Exception, sent: bool) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise raised

    with pytest.raises(errors.APIConnectionError) as caught:
        stream(kind, answer)

    assert caught.value.sent is sent


@KINDS
def test_a_stream_of_an_invalid_address_is_an_error_of_ours(kind: str) -> None:
    with pytest.raises(errors.APIConnectionError):
        stream(kind, lambda request: events(DONE), base_url="http://a:b")


def test_a_stream_through_a_closed_http_client_says_so() -> None:
    http = httpx2.Client()
    http.close()

    with FalQueue("key", http=http) as fal, pytest.raises(errors.ClientClosed, match="pass one that is open"):
        list(fal.stream("acme/app", "r1"))
