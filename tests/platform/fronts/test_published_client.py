"""The published banana-dev, unmodified, calls a front that stands by while the active one is killed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdk_packages import INPUTS, PythonSdks
from several_fronts import FrontProcess, Fronts, wait_for

pytestmark = pytest.mark.needs("postgres", "uv")
VERSION = "6.3.0"
CALLS = """
import json, sys, time
from banana_dev import Client
key, url, count = sys.argv[1:]
client = Client(api_key=key, url=url)
for number in range(int(count)):
    result, meta = client.call("/", {"number": number, "seconds": 0.2})
    print(json.dumps(result["got"]["number"]), flush=True)
"""


@pytest.fixture(scope="module")
def pair(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fronts, FrontProcess]]:
    fronts = Fronts(tmp_path_factory.mktemp("fronts"), database)
    try:
        fronts.deploy(fronts.all[0], "potassium", "potassium")
        fronts.deploy(fronts.all[0])
        yield fronts, fronts.add_standby()
    finally:
        fronts.close()


@pytest.fixture(scope="module")
def sdks(tmp_path_factory: pytest.TempPathFactory) -> PythonSdks:
    return PythonSdks(tmp_path_factory.mktemp("packages"))


def test_its_calls_and_warmup_are_those_of_the_active_front(
    pair: tuple[Fronts, FrontProcess], sdks: PythonSdks
) -> None:
    fronts, standby = pair
    url = f"http://127.0.0.1:{standby.port}/banana/run/potassium"
    row = standby.http.get("/stand/v1/projects/potassium").json()
    job = {"key": fronts.key, "apps": {"potassium": {"model_key": row["model_key"], "url": url}}}

    said = sdks.drive(VERSION, {**job, "kinds": ["potassium", "warmup"]}, {"NO_PROXY": "*"})

    assert said["potassium"]["got"] == INPUTS
    assert said["warmup"] == {"warm": True}


def test_it_notices_nothing_of_a_take_over(pair: tuple[Fronts, FrontProcess], sdks: PythonSdks, tmp_path: Path) -> None:
    fronts, standby = pair
    program = tmp_path / "calls.py"
    program.write_text(CALLS)
    python = sdks.python(f"banana-dev=={VERSION}")
    command = [str(python), str(program), fronts.key, f"http://127.0.0.1:{standby.port}/banana/run/app", "10"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
        assert client.stdout is not None
        first = json.loads(client.stdout.readline())
        fronts.all[0].kill()
        rest = [json.loads(line) for line in client.stdout]

    assert client.returncode == 0, rest
    assert [first, *rest] == list(range(10))
    wait_for(lambda: standby.role == "active")
