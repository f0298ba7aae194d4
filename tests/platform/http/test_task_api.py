"""Banana's first API, api/task/start/v1 and api/task/check/v1: its answers to what is wrong, slow or failing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from stands import Up


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("tasks") / "data") as running:
        assert running.deploy("app")["state"] == "live", running.log
        assert running.deploy("own", "refuses")["state"] == "live", running.log
        yield running


def post(up: Up, operation: str, data: Any, **more: Any) -> tuple[int, dict[str, Any]]:
    url = f"http://127.0.0.1:{up.port}/banana/api/task/{operation}/v1/"
    answer = httpx2.post(url, json={"id": "a-callers-id", "created": 1637800000, "data": data, **more}, timeout=60)
    found: dict[str, Any] = answer.json()
    return answer.status_code, found


def start(up: Up, parameters: Any, project: str = "app") -> str:
    key = up.http.get(f"/stand/v1/projects/{project}").json()["model_key"]
    status, began = post(up, "start", {"apiKey": up.key, "modelKey": key, "modelParameters": parameters})
    assert (status, began["success"], began["message"]) == (200, True, "success"), began
    task: str = began["data"]["taskID"]
    return task


def test_a_task_that_runs_is_not_done_and_a_long_poll_waits_for_it(up: Up) -> None:
    task = start(up, {"seconds": 1.0})

    began = time.monotonic()
    status, seen = post(up, "check", {"taskID": task, "apiKey": up.key})
    assert (status, seen["success"], seen["data"]["taskStatus"]) == (200, True, "Running")
    assert time.monotonic() - began < 1.0

    _, done = post(up, "check", {"taskID": task, "apiKey": up.key}, longPoll=True)
    assert (done["data"]["taskStatus"], done["data"]["taskOut"]["got"]) == ("Done", {"seconds": 1.0})
    assert (done["id"], done["created"] > 1_700_000_000) == ("a-callers-id", True)


def test_a_task_whose_app_fails_is_no_success_and_says_why(up: Up) -> None:
    task = start(up, {"status": 500, "body": '{"message": "CUDA out of memory"}'}, "own")

    status, failed = post(up, "check", {"taskID": task}, longPoll=True)

    assert (status, failed["success"]) == (200, False)
    assert failed["message"] == "the app answered 500: CUDA out of memory"
    assert failed["data"] == {"taskID": task, "taskStatus": "Failed"}


def test_a_task_whose_app_answers_no_json_is_no_success(up: Up) -> None:
    task = start(up, {"status": 200, "body": "pure text"}, "own")

    _, failed = post(up, "check", {"taskID": task}, longPoll=True)

    assert (failed["success"], failed["message"]) == (False, "the app answered 200 without JSON")


@pytest.mark.parametrize(
    ("operation", "changed", "status", "message"),
    [
        ("start", {"apiKey": "wrong"}, 401, "Invalid API key"),
        ("start", {"apiKey": None}, 401, "An API key is required"),
        ("start", {"modelKey": "nobody"}, 404, "there is no model nobody: `bananastand deploy` prints model keys"),
        ("start", {"modelKey": 7}, 400, "data.modelKey must be a text that is not empty"),
        ("start", {"modelParameters": ...}, 400, "data.modelParameters is missing: it holds the model's inputs"),
        ("check", {"taskID": "call_none"}, 404, "there is no call call_none"),
        ("check", {"taskID": ["a"]}, 400, "data.taskID must be a text that is not empty"),
        ("check", {"apiKey": "wrong", "taskID": "call_none"}, 401, "Invalid API key"),
    ],
)
def test_a_wrong_request_is_refused_with_its_reason(
    up: Up, operation: str, changed: dict[str, Any], status: int, message: str
) -> None:
    data: dict[str, Any] = {"apiKey": up.key, "modelKey": "app", "modelParameters": {}}
    data = data if operation == "start" else {}
    data = {name: value for name, value in {**data, **changed}.items() if value is not ...}

    answered, refused = post(up, operation, data)

    assert (answered, refused["success"], refused["message"]) == (status, False, message)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"data": []}'])
def test_a_body_of_another_shape_is_refused(up: Up, body: bytes) -> None:
    answer = httpx2.post(f"http://127.0.0.1:{up.port}/banana/api/task/start/v1", content=body)

    assert answer.status_code == 400
    assert answer.json()["message"].endswith(("is not JSON", "must be a JSON object"))


def test_a_get_request_is_refused(up: Up) -> None:
    answer = httpx2.get(f"http://127.0.0.1:{up.port}/banana/api/task/start/v1/")

    assert (answer.status_code, answer.json()["message"]) == (405, "send a POST request")


def test_feedback_on_no_call_is_an_error_in_the_message(up: Up) -> None:
    body = {"apiKey": up.key, "callID": "call_none", "feedback": {}}
    answer = httpx2.post(f"http://127.0.0.1:{up.port}/banana/feedback/v2/", json=body)

    assert (answer.status_code, answer.json()["message"]) == (200, "error: there is no call call_none")
