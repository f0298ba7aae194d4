"""Banana.dev's own Python package, as published, against the mock and against our host.

Only what its users could set is set: the base URL of its API, the URL of a Client, and the two environment variables of
the calls of 4.x, which 6.3.0 still has (`banana_dev.package`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from banana_dev import API, Client
from banana_dev.client import ClientException

from bananastand_mocks.running import Endpoint, MockSession
from servers import Server, hosted

INPUTS = {"prompt": "a ripe banana", "width": 64, "height": 64}


@pytest.fixture
def api(banana_native: Endpoint) -> API:
    found = API(banana_native.key)
    found.base_url = f"{banana_native.base_url}/v1"
    return found


@pytest.fixture
def client(api: API, banana_native: Endpoint) -> Client:
    projects, _ = api.list_projects()
    return Client(banana_native.key, f"{banana_native.base_url}/run/{projects['results'][0]['id']}", verbosity="")


@pytest.fixture(scope="module")
def host() -> Iterator[Server]:
    with hosted() as server:
        yield server


def test_its_api_lists_shows_and_changes_projects(api: API) -> None:
    listed, status = api.list_projects()
    project = listed["results"][0]
    assert status == 200
    assert set(project) >= {"id", "teamId", "minReplicas", "maxReplicas", "inferenceTimeout", "idleTimeout"}

    assert api.get_project(project["id"]) == (project, 200)
    changed, status = api.update_project(project["id"], {"maxReplicas": 2})
    assert (status, changed["maxReplicas"], changed["minReplicas"]) == (200, 2, project["minReplicas"])
    assert api.get_project(project["id"]) == (changed, 200)


def test_its_api_reads_errors_as_json(api: API) -> None:
    assert api.get_project("nobody") == ({"message": "Project not found"}, 404)
    assert api.update_project("nobody", {"maxReplicas": "two"})[1] == 400
    api.api_key = "wrong"
    assert api.list_projects() == ({"message": "Invalid API key"}, 401)


def test_its_client_calls_a_project(client: Client, stand: MockSession) -> None:
    assert client.warmup()[0] == {"warm": True}

    answer, meta = client.call("/", INPUTS)

    assert answer["images"][0]["width"] == 64
    assert meta["headers"]["content-type"] == "application/json"
    (call,) = stand.journal.find(operation="call_project")
    assert call.body == INPUTS


def test_its_client_tries_again_with_one_id(client: Client, stand: MockSession) -> None:
    stand.faults.next_calls(1, "status", "call_project", status=423)

    answer, _ = client.call("/", INPUTS)

    assert answer["images"]
    calls = stand.journal.find(operation="call_project")
    assert [call.status for call in calls] == [423, 200]
    assert len({call.headers["x-banana-request-id"] for call in calls}) == 1


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "no available replicas"),
        (418, "banana is a teapot"),
        (500, "StatusCode: 500"),
        (503, "StatusCode: 503"),
        (504, "Reached timeout limit of 5min"),
        (409, "unexpected http response code: 409"),
    ],
)
def test_its_client_knows_what_each_status_means(client: Client, stand: MockSession, status: int, text: str) -> None:
    message = "You have no available replicas to process this request" if status == 400 else ""
    stand.faults.next_calls(1, "status", "call_project", status=status, message=message)

    with pytest.raises(ClientException, match=text):
        client.call("/", INPUTS, retry=False)


def test_its_client_without_a_project_or_a_key(client: Client, banana_native: Endpoint) -> None:
    with pytest.raises(ClientException, match="StatusCode: 404"):
        Client(banana_native.key, f"{banana_native.base_url}/run/nobody", verbosity="").call("/", INPUTS)
    client.api_key = "wrong"
    with pytest.raises(ClientException, match="Message: Invalid API key"):
        client.call("/", INPUTS)


def legacy(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Code with `run`, `start` and `check` of 4.x; they read their environment when they are imported."""
    return subprocess.run(
        [sys.executable, "-c", f"from banana_dev.package import run, start, check\nimport json\n{code}"],
        env={**os.environ, **environ}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_its_old_calls_run_start_and_check(banana_native: Endpoint, stand: MockSession) -> None:
    stand.tasks.finish_after_polls(1)
    ended = legacy(
        f"call = start({banana_native.key!r}, 'value', {INPUTS!r})\n"
        f"seen = [check({banana_native.key!r}, call) for _ in range(2)]\n"
        f"done = run({banana_native.key!r}, 'value', {INPUTS!r})\n"
        "print(json.dumps([call, [message['message'] for message in seen], done]))",
        BANANA_URL=f"{banana_native.base_url}/",
    )
    assert ended.returncode == 0, ended.stderr

    call, messages, done = json.loads(ended.stdout.splitlines()[-1])
    assert call.startswith("call_")
    assert messages[-1] == "success"
    assert done["modelOutputs"][0]["images"][0]["width"] == 64
    assert [item.body["startOnly"] for item in stand.journal.find(operation="start_run")] == [True, False]


@pytest.mark.parametrize(
    ("key", "model", "text"), [("wrong", "value", "error: Invalid API key"), (None, "nobody", "error: Model not found")]
)
def test_its_old_calls_see_an_error_in_the_message(banana_native: Endpoint, key: str, model: str, text: str) -> None:
    ended = legacy(f"run({key or banana_native.key!r}, {model!r}, {{}})", BANANA_URL=f"{banana_native.base_url}/")

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == f"Exception: {text}"


def test_its_client_calls_an_app_under_our_host(host: Server) -> None:
    client = Client("no key is asked for", f"http://127.0.0.1:{host.port}", verbosity="")

    assert client.warmup()[0] == {"warm": True}
    answer, meta = client.call("/", {"a": 1})
    assert answer["got"] == {"a": 1}
    assert meta["headers"]["content-type"].startswith("application/json")
    with pytest.raises(ClientException, match="404"):
        client.call("/not-there", {})
    with pytest.raises(ClientException) as caught:
        client.call("/fails", {})
    assert "a secret of the server" not in str(caught.value)


def test_its_old_calls_go_straight_to_our_host(host: Server, tmp_path: Path) -> None:
    ended = legacy("print(json.dumps(run('k', 'm', {'a': 1})))", BANANA_SERVER=f"http://127.0.0.1:{host.port}/")
    assert ended.returncode == 0, ended.stderr

    out: Any = json.loads(ended.stdout.splitlines()[-1])
    assert (out["apiVersion"], out["message"]) == ("DIRECT", "")
    assert out["modelOutputs"][0]["got"] == {"a": 1}
