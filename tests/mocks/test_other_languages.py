"""The examples of docs/mocks-from-other-languages.md, as they are printed, and the Compose file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
import yaml

from bananastand_mocks.running import RunningServer
from paths import PATHS
from servers import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "mocks-from-other-languages.md"
COMPOSE = ROOT / "examples" / "compose" / "compose.yaml"


def run_example(language: str, file: str, command: list[str], url: str, folder: Path) -> str:
    (code,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    (folder / file).write_text(code, encoding="utf-8")
    done = subprocess.run(
        [*command, file], cwd=folder, env=os.environ | {"MOCKS_URL": url}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.needs("node")
def test_the_example_for_node_runs(mock_server: RunningServer, tmp_path: Path) -> None:
    output = run_example("js", "models.test.mjs", ["node", "--test"], mock_server.url, tmp_path)

    assert re.search(r"pass 2\b", output)


@pytest.mark.slow
@pytest.mark.needs("go")
def test_the_example_for_go_runs(mock_server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOCACHE", str(tmp_path / "cache"))

    assert run_example("go", "models_test.go", ["go", "test"], mock_server.url, tmp_path).startswith("ok")


@pytest.mark.slow
@pytest.mark.needs("java")
def test_the_example_for_java_runs(mock_server: RunningServer, tmp_path: Path) -> None:
    assert run_example("java", "Models.java", ["java"], mock_server.url, tmp_path) == "ok\n"


def test_the_compose_file_starts_mocks_that_its_other_services_reach(tmp_path: Path) -> None:
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    mocks, port = services["mocks"], free_port()
    dockerfile = (COMPOSE.parent / mocks["build"]["context"] / mocks["build"]["dockerfile"]).read_text()
    assert mocks["ports"] == ["127.0.0.1:8750:8750"]
    assert "EXPOSE 8750" in dockerfile
    assert "HEALTHCHECK" in dockerfile  # which depends_on waits for
    options = [word.replace("/state/", f"{tmp_path}/") for word in mocks["command"]]
    command = [sys.executable, "-m", "bananastand", "mocks", "--port", str(port), *options]

    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": PATHS}, stdout=subprocess.DEVNULL)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers={"Host": "mocks:8750"}) as http:
            until = time.monotonic() + 60
            while not answers(http):
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.1)
            environment = services["app"]["environment"]
            path = environment["LOWCODEAPI_URL"].removeprefix("http://mocks:8750")
            models = http.get(f"{path}/v1/models", params={"api_token": environment["LOWCODEAPI_KEY"]})
            assert models.json()["message"] == "Request completed"
            assert http.get("/_stand/worlds/default").json()["clock"]["step"] == 1
    finally:
        process.terminate()
        process.wait(30)
    assert (tmp_path / "worlds.db").exists()


def answers(http: httpx2.Client) -> bool:
    try:
        return http.get("/_stand/health").status_code == 200
    except httpx2.TransportError:
        return False
