"""banana-cli 0.1.2, unmodified, deploys a folder to `bananastand up` and follows the build's log to its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdk_packages import PythonSdks, exports
from servers import free_port
from stands import Up

LAST = "live"  # in the last line of a log
SILENCE = 8.0  # seconds; the CLI reconnects after five
PACKAGES = ("banana-cli==0.1.2", "python-dateutil", "setuptools<81")  # it needs the other two and does not name them

pytestmark = [pytest.mark.slow, pytest.mark.needs("uv")]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = Up(tmp_path_factory.mktemp("cli") / "data", proxy=free_port())
    yield running
    assert running.stop() == 0, running.log


@pytest.fixture(scope="module")
def sdks(tmp_path_factory: pytest.TempPathFactory) -> PythonSdks:
    return PythonSdks(tmp_path_factory.mktemp("packages"))


def deploy(up: Up, python: Path, home: Path) -> subprocess.Popen[str]:
    """`banana deploy` in a folder with an app, by a user who has logged in."""
    app = home / "fruit"
    app.mkdir()
    (app / ".gitignore").write_text("*.pyc\n")
    (app / "app.py").write_text(APP)
    (app / "requirements.txt").write_text("")
    (home / ".banana").mkdir()
    login = {"auth": {"team": {"apiKey": up.key, "teamName": "Bluth"}}}
    (home / ".banana" / "config.json").write_text(json.dumps(login))
    environment = {**exports(up), "HOME": str(home), "PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
    command = [str(python.with_name("banana")), "deploy"]
    return subprocess.Popen(
        command, env=environment, cwd=app, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


APP = """
from potassium import Potassium, Response
app = Potassium("fruit")

@app.init
def init():
    return {}

@app.handler("/")
def handler(context, request):
    return Response(json={"fruit": "banana"}, status=200)

if __name__ == "__main__":
    app.serve()
"""


@pytest.mark.parametrize("release", ["1.8.0", ""], ids=["before 1.9", "today's"])
def test_the_log_of_a_build_is_printed_once_and_the_cli_ends(
    release: str, up: Up, sdks: PythonSdks, tmp_path: Path
) -> None:
    websocket_client = f"websocket-client=={release}" if release else "websocket-client"
    process = deploy(up, sdks.python(*PACKAGES, websocket_client), tmp_path)
    lines = list[str]()
    assert process.stdout is not None
    watchdog = threading.Timer(100, process.kill)
    watchdog.start()
    for line in process.stdout:
        lines.append(line)
        if LAST in line.rpartition("//")[2]:
            break
    if not release:
        time.sleep(SILENCE)  # it reconnects after every close, so the user interrupts it
        process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    watchdog.cancel()

    assert process.returncode == 0, "".join(lines) + rest
    log = [line for line in "".join([*lines, rest]).splitlines() if " // " in line]
    assert len(log) == len(set(log)), log
    assert "Error parsing" not in rest
