"""What a replica may take: processes, memory, the network; and what is said where a limit ends it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bananastand.platform.replicas.cgroups import Cgroup, Cgroups
from bananastand.platform.replicas.isolation import isolation_problem
from bananastand.platform.replicas.isolation_policy import IsolationPolicy
from bananastand.platform.replicas.sandbox import sandbox_command
from real_platform import DOCKERFILE, POTASSIUM, RealPlatform

APP = {"Dockerfile": DOCKERFILE, "app.py": POTASSIUM}
SERVER = "import http.server; http.server.HTTPServer(('', 8000), http.server.SimpleHTTPRequestHandler).serve_forever()"
OWN_SERVER = "[app]\ncommand = \"sh -c 'exec python3 app.py'\"\n"
BOMB = """
import os, signal
pids = []
try:
    while len(pids) < 400:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        pids.append(pid)
except BlockingIOError:
    pass
for pid in pids:
    os.kill(pid, 9)
print(len(pids))
"""


@pytest.mark.needs("bwrap")
def test_without_a_network_a_potassium_app_answers_and_reaches_nobody(tmp_path: Path) -> None:
    if (reason := isolation_problem()) is not None:
        pytest.skip(reason)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        RealPlatform(tmp_path / "data", "--network", "none") as running,
    ):
        port = listener.getsockname()[1]
        assert "no network" in running.log
        assert running.deploy("app", APP)["state"] == "live"
        reach = f"import socket; socket.create_connection(('127.0.0.1', {port}), 3)"
        assert "Error" in running.run("app", reach)
        assert running.run("app", "out = 5") == 5

        failed = running.deploy("server", {"Dockerfile": DOCKERFILE, "app.py": SERVER, "bananastand.toml": OWN_SERVER})
        assert failed["state"] == "failed"
        assert "only a Potassium app in the worker can be called" in failed["error"]


@pytest.mark.needs("bwrap", "setpriv", "prlimit")
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_fork_bomb_of_a_user_that_is_not_root_meets_its_limit() -> None:
    """The kernel counts processes for each user namespace; root is not bound by the count."""
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bwrap", "--ro-bind", "/", "/", "--unshare-pid",
         "--unshare-user", "--proc", "/proc", "--", "prlimit", "--nproc=64", "--", "/usr/bin/python3", "-c", BOMB],
        capture_output=True, text=True, timeout=60, cwd="/",
    )  # fmt: skip
    if done.returncode and ("ermission" in done.stderr or "not permitted" in done.stderr):
        pytest.skip(done.stderr.strip()[-200:])
    assert 10 < int(done.stdout) < 64, done.stderr


def test_a_sandbox_of_another_user_than_root_carries_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    root = tmp_path / "data" / "builds" / "x" / "stage0" / "root"
    root.mkdir(parents=True)
    policy = IsolationPolicy(str(tmp_path / "data"), processes=99)
    command = (sys.executable, "-c", "")
    sandboxed = sandbox_command(command, root=str(root), workdir="/", environment=dict(os.environ), policy=policy)

    assert "--nproc=99" in sandboxed.command
    assert "--die-with-parent" in sandboxed.command


def tree(folder: Path, controllers: str) -> Path:
    """A process's folder of /proc, and a cgroup for it, as files; a write to one of them leaves what was written."""
    process, group = folder / "proc", folder / "cgroup" / "app.service"
    process.mkdir()
    group.mkdir(parents=True)
    (process / "cgroup").write_text("1:name=x:/other\n0::/app.service\n")
    (process / "mountinfo").write_text(f"30 20 0:26 / {folder}/cgroup rw,nosuid - cgroup2 cgroup2 rw\n")
    (group / "cgroup.controllers").write_text(controllers)
    (group / "cgroup.subtree_control").write_text("")
    return process


def test_a_delegated_cgroup_is_taken_over_and_a_replica_gets_its_limits(tmp_path: Path) -> None:
    groups = Cgroups.delegated(tree(tmp_path, "cpu memory pids\n"))
    base = tmp_path / "cgroup" / "app.service"

    assert groups.problem is None
    assert (base / "platform" / "cgroup.procs").read_text() == str(os.getpid())
    assert (base / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert groups.create("abc", memory_mb=512, processes=100) is not None
    assert (base / "replica-abc" / "memory.max").read_text() == str(512 * 2**20)
    assert (base / "replica-abc" / "pids.max").read_text() == "100"
    assert (base / "replica-abc" / "memory.oom.group").read_text() == "1"


def test_a_replica_that_exceeds_a_limit_names_it(tmp_path: Path) -> None:
    group = Cgroup(tmp_path, 512, 100)
    assert group.exceeded_limit() is None
    (tmp_path / "pids.events").write_text("max 3\n")
    assert group.exceeded_limit() == "it wanted more than 100 processes and threads (bananastand up --processes)"
    (tmp_path / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert group.exceeded_limit() == "out of memory: it needed more than 512 MiB (bananastand up --memory allows more)"


def test_a_program_enters_its_cgroup_before_it_begins(tmp_path: Path) -> None:
    command = Cgroup(tmp_path).wrap_command(("sh", "-c", "echo $$"))
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert (tmp_path / "cgroup.procs").read_text() == done.stdout


@pytest.mark.parametrize("controllers", ["cpu\n", ""])
def test_without_a_delegated_cgroup_there_is_a_reason_and_no_limit(controllers: str, tmp_path: Path) -> None:
    groups = Cgroups.delegated(tree(tmp_path, controllers))

    assert groups.problem is not None
    assert groups.problem.startswith("no controller for memory and pids in")
    assert groups.create("abc", memory_mb=1, processes=1) is None
