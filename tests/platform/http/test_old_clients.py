"""What Banana's users have: banana-dev 6.3.0 as it was published, against `bananastand up`.

Changed is what docs/deploy.md says: the URL of a Client, the API's base URL, the variable that the old calls read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

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
