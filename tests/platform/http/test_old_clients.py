"""What Banana's users have: banana-dev 6.3.0 as it was published, against `bananastand up`.

Changed is what docs/deploy.md says: the URL of a Client, the API's base URL, the variable that the old calls read.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from banana_dev import API, Client
from banana_dev.client import ClientException

from stands import Up


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("old") / "data") as running:
        assert running.deploy("my-app", "potassium")["state"] == "live"
        yield running


def client(up: Up, key: str | None = None, project: str = "my-app") -> Client:
    return Client(key or up.key, url=f"http://127.0.0.1:{up.port}/banana/run/{project}", verbosity="")


def test_a_client_warms_up_and_calls(up: Up) -> None:
    assert client(up).warmup()[0] == {"warm": True}

    answer, meta = client(up).call("/", {"prompt": "a ripe banana"})

    assert answer["got"] == {"prompt": "a ripe banana"}
    assert meta["headers"]["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("key", "project", "route", "message"),
    [
        ("wrong", "my-app", "/", "Invalid API key"),
        (None, "nobody", "/", "StatusCode: 404"),
        (None, "my-app", "/not-there", "404 Not Found"),
        (None, "my-app", "/fails", "the handler failed; error id"),
    ],
)
def test_client_exception_carries_the_reason(up: Up, key: str | None, project: str, route: str, message: str) -> None:
    with pytest.raises(ClientException, match=message) as caught:
        client(up, key, project).call(route, {}, retry=False)
    assert "a secret of the server" not in str(caught.value)


def test_the_api_lists_shows_and_changes_projects(up: Up) -> None:
    api = API(up.key)
    api.base_url = f"http://127.0.0.1:{up.port}/banana/v1"

    listed, status = api.list_projects()
    (project,) = listed["results"]
    assert (status, project["name"]) == (200, "my-app")
    assert api.get_project(project["id"]) == (project, 200)

    changed, status = api.update_project(project["id"], {"maxReplicas": 2})
    assert (status, changed["maxReplicas"]) == (200, 2)
    assert up.http.get("/stand/v1/projects/my-app").json()["max_replicas"] == 2
    assert api.get_project("nobody") == ({"message": "Project not found"}, 404)


def test_run_start_and_check_of_the_first_sdk_work(up: Up) -> None:
    key = up.http.get("/stand/v1/projects/my-app").json()["model_key"]
    code = (
        "import json, time\nfrom banana_dev.package import run, start, check\n"
        f"finished = run({up.key!r}, {key!r}, {{'prompt': 'whole'}})\n"
        f"call = start({up.key!r}, {key!r}, {{'prompt': 'begun'}})\n"
        f"while (seen := check({up.key!r}, call))['message'] == 'running': time.sleep(0.05)\n"
        "print(json.dumps([finished, seen]))"
    )
    environment = {**os.environ, "BANANA_URL": f"http://127.0.0.1:{up.port}/banana/"}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr

    finished, seen = json.loads(ended.stdout.splitlines()[-1])
    assert finished["modelOutputs"][0]["got"] == {"prompt": "whole"}
    assert (seen["message"], seen["modelOutputs"][0]["got"]) == ("success", {"prompt": "begun"})


CREATED = [1684444779.5, 1684444779000, "1684444779", None, True, [1], {"at": 1}]


@pytest.mark.parametrize("created", CREATED)
def test_the_queue_takes_any_json_as_created(up: Up, created: Any) -> None:
    """Python's SDK sends a fraction before 3.0.1, Rust's milliseconds."""
    run = {"apiKey": up.key, "modelKey": "my-app", "modelInputs": {}, "startOnly": True, "created": created}
    started = up.http.post("/banana/start/v4/", json=run).json()
    body = {"apiKey": up.key, "callID": started["callID"], "longPoll": True, "created": created}

    assert up.http.post("/banana/check/v4/", json=body).json()["message"] == "success"


@pytest.mark.parametrize("created", CREATED)
def test_lowcodeapi_takes_any_json_as_created(up: Up, created: Any) -> None:
    started = gateway(up, "start", {"modelInputs": {}, "created": created})
    checked = gateway(up, "check", {"id": started["result"]["id"], "created": created})
    ran = gateway(up, "run", {"modelInputs": {}, "created": created})

    assert [answer["result"]["modelOutputs"][0]["got"] for answer in (started, checked, ran)] == [{}, {}, {}]


def test_lowcodeapi_reads_a_body_in_gzip_as_express_does(up: Up) -> None:
    content = gzip.compress(json.dumps({"modelKey": "my-app", "modelInputs": {"prompt": "a ripe banana"}}).encode())

    ran = gateway(up, "run", content=content)
    refused = gateway(up, "run", content=content[:-6])
    bomb = gateway(up, "run", content=gzip.compress(b" " * (101 * 2**20)))

    assert ran["result"]["modelOutputs"][0]["got"] == {"prompt": "a ripe banana"}
    assert (refused, bomb) == ({"message": "unexpected end of file"}, {"message": "request entity too large"})


def gateway(up: Up, operation: str, body: dict[str, Any] | None = None, content: bytes | None = None) -> Any:
    """The answer of an operation behind LowCodeAPI; `content` is a body in gzip."""
    options: dict[str, Any] = {"json": {"modelKey": "my-app", **(body or {})}}
    if content is not None:
        options = {"content": content, "headers": {"content-type": "application/json", "content-encoding": "gzip"}}
    query = {"api_token": f"at_r{up.key.replace('-', '')}"}
    return up.http.post(f"/lowcodeapi/bananadev/v1/{operation}", params=query, **options).json()
