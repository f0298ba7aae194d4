"""Banana's first API, as banana-dev 0.0.2 to 0.1.0 send and read it: `data` in both directions, and a `success`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from bananastand_mocks.running import Endpoint, MockSession

INPUTS = {"prompt": "a ripe banana", "width": 64, "height": 64}
SENT = {"id": "a-callers-id", "created": 1637800000}


@pytest.fixture
def http(banana_native: Endpoint) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=banana_native.base_url) as client:
        yield client


def post(http: httpx2.Client, path: str, data: Any, **more: Any) -> tuple[int, Any]:
    answer = http.post(path, json={**SENT, "data": data, **more})
    return answer.status_code, answer.json()


def start(http: httpx2.Client, key: str, **changes: Any) -> tuple[int, Any]:
    data = {"apiKey": key, "modelKey": "value", "modelParameters": INPUTS, **changes}
    return post(http, "/api/task/start/v1/", data)


def check(http: httpx2.Client, key: str, task: str, **more: Any) -> tuple[int, Any]:
    return post(http, "/api/task/check/v1/", {"apiKey": key, "taskID": task}, **more)


def test_a_task_is_started_checked_and_done(http: httpx2.Client, banana_native: Endpoint, stand: MockSession) -> None:
    stand.tasks.finish_after_polls(1)
    status, begun = start(http, banana_native.key)
    task = begun["data"]["taskID"]
    head = {"id": "a-callers-id", "apiVersion": begun["apiVersion"], "message": "success", "success": True}
    assert begun == {**head, "created": begun["created"], "data": {"taskID": task}}
    assert (status, task[:5], isinstance(begun["created"], int)) == (200, "call_", True)

    status, running = check(http, banana_native.key, task)
    data = {"taskID": task, "taskStatus": "Running", "taskOut": None}
    assert (status, running) == (200, {**head, "created": running["created"], "data": data})

    status, done = check(http, banana_native.key, task, longPoll=True)
    (image,) = done["data"].pop("taskOut")["images"]
    data = {"taskID": task, "taskStatus": "Done"}
    assert (status, done) == (200, {**head, "created": done["created"], "data": data})
    assert (image["width"], image["height"]) == (64, 64)


def test_a_task_that_fails_is_no_success(http: httpx2.Client, banana_native: Endpoint, stand: MockSession) -> None:
    stand.tasks.finish_after_polls(1)
    stand.tasks.fail_next(1, "CUDA out of memory")
    task = start(http, banana_native.key)[1]["data"]["taskID"]
    check(http, banana_native.key, task)

    status, failed = check(http, banana_native.key, task)

    assert (status, failed["success"]) == (200, False)
    assert failed["message"].endswith("CUDA out of memory")
    assert failed["data"] == {"taskID": task, "taskStatus": "Failed", "taskOut": None}


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"apiKey": "wrong"}, 401, "Invalid API key"),
        ({"apiKey": ""}, 401, "An API key is required"),
        ({"modelKey": "nobody"}, 404, "Model not found"),
    ],
)
def test_a_refused_start_has_a_status_and_a_message(
    changes: Any, status: int, message: str, http: httpx2.Client, banana_native: Endpoint
) -> None:
    got, refused = start(http, banana_native.key, **changes)
    assert (got, refused["success"], refused["message"], refused["data"]) == (status, False, message, None)
    assert {"id", "created", "apiVersion"} < refused.keys()


def test_a_check_of_an_unknown_task_is_404(http: httpx2.Client, banana_native: Endpoint) -> None:
    status, refused = check(http, banana_native.key, "call_none")
    assert (status, refused["success"], refused["message"]) == (404, False, "Run not found")


@pytest.mark.parametrize("body", ["{", "[]", '{"data": []}', '{"data": {"modelKey": "value"}}', '{"data": 5}'])
@pytest.mark.parametrize("path", ["/api/task/start/v1", "/api/task/check/v1/"])
def test_a_body_of_another_shape_is_400(path: str, body: str, http: httpx2.Client) -> None:
    answer = http.post(path, content=body)
    assert (answer.status_code, answer.json()["success"]) == (400, False)
    assert path.rstrip("/") in answer.json()["message"]


def test_a_call_is_journaled_with_its_own_headers(
    http: httpx2.Client, banana_native: Endpoint, stand: MockSession
) -> None:
    http.headers["x-trace"] = "yellow"
    start(http, banana_native.key)
    (entry,) = stand.journal.find(provider="banana-native")
    names = ("x-trace", "content-type")
    assert [entry.headers[name] for name in names] == ["yellow", "application/json"]


def test_a_fault_keeps_its_status(http: httpx2.Client, banana_native: Endpoint, stand: MockSession) -> None:
    stand.faults.next_calls(1, "status", status=503)
    assert start(http, banana_native.key)[0] == 503


def test_feedback_names_its_call(http: httpx2.Client, banana_native: Endpoint) -> None:
    """npm 3.0.0 sends it without `data`; a failure is in the message, as everywhere in version 2."""
    task = start(http, banana_native.key)[1]["data"]["taskID"]
    body = {**SENT, "apiKey": banana_native.key, "callID": task, "feedback": {"good": True}}
    answer = http.post("/feedback/v2/", json=body)
    assert (answer.status_code, answer.json()["success"], answer.json()["callID"]) == (200, True, task)
    assert "data" not in answer.json()
    unknown = http.post("/feedback/v2/", json={**body, "callID": "call_none"})
    assert (unknown.status_code, unknown.json()["success"]) == (200, False)
    assert unknown.json()["message"] == "error: Run not found"
