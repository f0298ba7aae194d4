"""A signal at any moment of a start: the platform ends with a clean status, and leaves no process behind."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from paths import PATHS
from servers import Process, free_port
from stands import Up

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")
MOMENTS = (0.0, 0.2, 0.5, 0.8, 1.2, None)  # seconds after it listens to signals; None: once a replica runs


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The data of a killed platform whose project has a replica at all times; and the mark of its processes."""
    data = tmp_path_factory.mktemp("killed") / "data"
    with Up(data) as up:
        assert up.deploy()["state"] == "live"
        up.http.patch("/stand/v1/projects/app", json={"min_replicas": 1}).raise_for_status()
        limit = time.monotonic() + 30
        while (
            not (replicas := up.http.get("/stand/v1/projects/app/replicas").json()["replicas"])
            or not replicas[0]["pid"]
        ):
            assert time.monotonic() < limit
            time.sleep(0.05)
        variables = Path(f"/proc/{replicas[0]['pid']}/environ").read_bytes().split(b"\0")
    return data, next(variable for variable in variables if variable.startswith(b"BANANASTAND_STAND="))


@pytest.mark.parametrize(("number", "statuses"), [(signal.SIGTERM, {0}), (signal.SIGINT, {0, 130})])
def test_a_signal_at_any_moment_of_a_start_ends_it_and_its_children(
    killed: tuple[Path, bytes], number: signal.Signals, statuses: set[int]
) -> None:
    data, mark = killed
    for moment in MOMENTS:
        platform = start(data)
        try:
            wait_for_handler(platform.process.pid)
            wait_for_replica(mark) if moment is None else time.sleep(moment)
            platform.process.send_signal(number)
            status = platform.ended()
        finally:
            platform.kill()

        assert status in statuses, f"{number.name} after {moment} s: {platform.log}"
        assert "Traceback" not in platform.log, f"{number.name} after {moment} s: {platform.log}"
        limit = time.monotonic() + 10  # for the reaper, which sees the platform end
        while processes_with(mark) and time.monotonic() < limit:
            time.sleep(0.05)
        assert processes_with(mark) == [], f"{number.name} after {moment} s: {platform.log}"


def start(data: Path) -> Process:
    command = [sys.executable, "-c", "from bananastand.cli import main; main()", "up", "--port", str(free_port())]
    return Process([*command, "--data", str(data)], PYTHONPATH=PATHS)


def wait_for_handler(pid: int) -> None:
    """Wait until the process catches SIGTERM; before, the interpreter starts and nothing can be left behind."""
    limit = time.monotonic() + 60
    while True:
        caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
        if caught is not None and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        assert time.monotonic() < limit
        time.sleep(0.005)


def wait_for_replica(mark: bytes) -> None:
    limit = time.monotonic() + 60
    while not processes_with(mark):
        assert time.monotonic() < limit
        time.sleep(0.01)


def processes_with(variable: bytes) -> list[str]:
    found = list[str]()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found
