"""Eight threads and the workers of pytest-xdist, each in a world of its own: none sees what happens in another."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from bananastand_mocks.running import RunningServer

WORKERS, CALLS = 8, 200
ROOT = Path(__file__).resolve().parents[2]
SUITE = """
from pathlib import Path

import httpx2
import pytest


@pytest.mark.parametrize("number", range(12))
def test_alone(bananadev, stand, number):
    options = {"params": {"api_token": bananadev.key}}
    httpx2.post(f"{bananadev.base_url}/v1/deploy", json={"modelKey": f"mine-{number}", "source": "x"}, **options)
    listed = httpx2.get(f"{bananadev.base_url}/v1/models", **options).json()["result"]["models"]
    assert [model["modelKey"] for model in listed] == ["value", "stable-diffusion", f"mine-{number}"]
    assert len(stand.journal) == 2
    with Path(__file__).with_name("servers").open("a") as file:
        file.write(bananadev.base_url.split("/")[2] + "\\n")
"""


def test_parallel_worlds_do_not_share_records(mock_server: RunningServer) -> None:
    with ThreadPoolExecutor(WORKERS) as pool:
        counted = list(pool.map(lambda number: work(mock_server, number), range(WORKERS)))

    assert counted == [CALLS] * WORKERS


def test_each_worker_of_xdist_has_a_server_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "mocks")))}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "bananastand_mocks.plugin"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    assert "12 passed" in done.stdout, done.stdout + done.stderr
    assert len(set((tmp_path / "servers").read_text(encoding="utf-8").split())) == 2


def work(server: RunningServer, number: int) -> int:
    """Random calls with everything this worker makes named after it; what it sees must be its own."""
    stand, choice = server.stand(kind="empty", seed=number), random.Random(number)
    where = stand.endpoint("bananadev")
    runs, models = dict[str, str](), [f"model-{number}-0"]
    with httpx2.Client(base_url=where.base_url, params={"api_token": where.key}, timeout=60) as http:
        http.post("/v1/deploy", json={"modelKey": models[0], "source": "x"})
        for turn in range(1, CALLS):
            match choice.choice(("deploy", "start", "check", "models", "usage", "clock")):
                case "deploy":
                    models.append(f"model-{number}-{turn}")
                    http.post("/v1/deploy", json={"modelKey": models[-1], "source": "x"})
                case "start":
                    key = choice.choice(models)
                    body = {"modelKey": key, "modelInputs": {"prompt": str(number)}, "startOnly": True}
                    runs[http.post("/v1/start", json=body).json()["result"]["callID"]] = key
                case "check" if runs:
                    call = choice.choice(list(runs))
                    body = {"modelKey": runs[call], "id": call}
                    assert http.post("/v1/check", json=body).json()["message"] == "success"
                case "usage":
                    assert http.get("/v1/usage").json()["result"]["summary"]["runs"] == len(runs)
                case "clock":
                    stand.clock.advance(1)
                    http.get("/v1/account")
                case _:
                    listed = http.get("/v1/models").json()["result"]["models"]
                    assert [model["modelKey"] for model in listed] == models
    assert stand.world.breaches == []
    seen = len(stand.journal)
    server.asgi.worlds.remove(stand.world)
    return seen
