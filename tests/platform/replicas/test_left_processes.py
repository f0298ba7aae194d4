"""Processes that leave their replica's session, parents and environment: they end with it, also without a sandbox."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bananastand.platform import replicas
from bananastand.platform.launch import Launch
from bananastand.platform.replicas.moved_ports import redirect_command, redirection_problem
from bananastand.platform.replicas.orphans import end_orphans
from bananastand.platform.replicas.replica import Replica
from bananastand.platform.replicas.start_command import PLATFORM_VARIABLE
from replicas import replica_of

pytestmark = pytest.mark.skipif(redirection_problem() is not None, reason="listening sockets are not moved here")

# A daemon, by the book: another session, no parent, and nothing of the environment.
PORT_REDIRECT = Path(replicas.__path__[0]) / "_port_redirect"
ESCAPES = """
import http.server, os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", MARK], {})
    os._exit(0)
os.wait()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *words): pass
http.server.HTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""


def escaped(mark: str) -> list[int]:
    found = list[int]()
    for process in psutil.process_iter():
        try:
            if mark in process.cmdline():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def stop(replica: Replica) -> None:
    replica.stop("the test is over", 5.0)


def kill(replica: Replica) -> None:
    replica.kill("the test is over")


def kill_program(replica: Replica) -> None:
    """As the kernel does to one that needs too much memory."""
    assert replica.pid is not None
    (program,) = [child for child in psutil.Process(replica.pid).children() if "server.py" in child.cmdline()]
    program.kill()


@pytest.mark.parametrize("end", [stop, kill, kill_program])
def test_a_daemon_without_the_replicas_environment_ends_with_the_replica(
    tmp_path: Path, end: Callable[[Replica], None]
) -> None:
    mark = uuid.uuid4().hex
    (tmp_path / "server.py").write_text(ESCAPES.replace("MARK", repr(mark)))
    launch = Launch("process", ("python3", "server.py"), str(tmp_path), python=sys.executable, port=8000)

    async def scenario() -> None:
        async with replica_of(launch) as replica:
            (daemon,) = escaped(mark)
            assert psutil.Process(daemon).environ() == {}
            assert os.getsid(daemon) != replica.pid
            end(replica)
            await replica.ended

    asyncio.run(scenario())
    wait_until(lambda: escaped(mark) == [])


def test_a_daemon_that_a_killed_platform_has_left_ends_with_the_next_start(tmp_path: Path) -> None:
    mark, platform = uuid.uuid4().hex, uuid.uuid4().hex
    (tmp_path / "server.py").write_text(ESCAPES.replace("MARK", repr(mark)))
    read, write = os.pipe()
    environment = {**os.environ, PLATFORM_VARIABLE: platform}
    command = redirect_command(write, (sys.executable, str(tmp_path / "server.py")))
    left = subprocess.Popen(command, env=environment, pass_fds=[write], start_new_session=True)
    os.close(write)
    wait_until(lambda: len(escaped(mark)) == 1)

    assert end_orphans(platform)[0].endswith("processes that a killed supervisor had left")

    wait_until(lambda: escaped(mark) == [])
    assert left.wait(10) == -signal.SIGKILL
    os.close(read)


def test_a_program_that_ends_before_it_is_watched_has_ended() -> None:
    script = f"""
import os, sys
sys.path.insert(0, {str(PORT_REDIRECT)!r})
import supervisor
child = os.fork()
if child == 0:
    os._exit(3)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
read, write = os.pipe()
os.close(write)
sys.exit(supervisor.Supervisor(read, child, sys.stdout).run())
"""
    assert subprocess.run((sys.executable, "-c", script), timeout=20, check=False).returncode == 3
