"""The supervisor of a Ray node, with a program in Ray's place; `test_join` has Ray itself."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from bananastand.cluster import ray_process
from bananastand.cluster.credentials import FOLDER_VARIABLE, Cluster, Identity, create_cluster
from bananastand.cluster.ray_process import NodeOptions, RayProcess, start_command
from bananastand.platform.replicas.reaper import find_marked
from servers import free_port

STARTS = "print('Ray runtime started.', flush=True); import time; time.sleep(600)"
FAILS = "print('2026-11-30 18:00:00,000\\tINFO x -- y'); print('Session name a does not match b'); raise SystemExit(3)"
SPAWNS = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], " + (
    "start_new_session=True); " + STARTS
)


@pytest.fixture
def node(tmp_path: Path) -> Identity:
    """The credentials of a node."""
    return create_cluster(tmp_path / "cluster", Cluster("c0ffee", "127.0.1.1"), ("127.0.1.1",))[1]


@asynccontextmanager
async def supervised(
    node: Identity, monkeypatch: pytest.MonkeyPatch, program: str, first_port: int | None = None
) -> AsyncGenerator[tuple[list[str], list[bool]]]:
    """Supervise a program in place of Ray; yields its lines and changes."""
    monkeypatch.setattr(ray_process, "start_command", lambda *_, **__: [sys.executable, "-S", "-c", program])
    monkeypatch.setattr(ray_process, "BACKOFF", 0.05)
    monkeypatch.setattr(ray_process, "BACKOFF_MOST", 0.2)
    lines, changes = list[str](), list[bool]()
    task = asyncio.create_task(
        RayProcess(
            node, NodeOptions("127.0.1.1", first_port=first_port or free_port()), lines.append, changes.append
        ).run()
    )
    try:
        yield lines, changes
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def processes_of(node: Identity) -> list[int]:
    return find_marked(f"{FOLDER_VARIABLE}={node.folder}".encode())


async def test_secrets_of_the_machine_do_not_reach_ray(node: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    names = (
        "BANANASTAND_JOIN_TOKEN",
        "BANANASTAND_DATABASE",
        "BANANASTAND_BLOBS",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
    )
    for name in names:
        monkeypatch.setenv(name, "hush-hush")
    async with supervised(node, monkeypatch, STARTS) as (lines, _):
        await until(lambda: lines)
        variables = [psutil.Process(pid).environ() for pid in processes_of(node)]

    assert variables
    assert [environ for environ in variables if "hush-hush" in environ.values() or "PATH" not in environ] == []


async def test_a_node_that_dies_is_started_again(node: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    async with supervised(node, monkeypatch, STARTS) as (lines, changes):
        await until(lambda: changes == [True])
        (first,) = processes_of(node)
        os.kill(first, signal.SIGKILL)
        await until(lambda: changes == [True, False, True])
        (second,) = processes_of(node)

    assert first != second
    assert processes_of(node) == []
    assert lines[0].startswith("node head joined 127.0.1.1:6379 after ")
    assert lines[1] == "node head lost: Ray has ended with status -9; starts again in 0 s"


async def test_a_start_that_fails_says_why_and_waits_longer_each_time(
    node: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = list[float]()

    async def sleep(seconds: float) -> None:
        if seconds >= ray_process.BACKOFF:  # others of this loop sleep for less
            pauses.append(seconds)

    async with supervised(node, monkeypatch, FAILS) as (lines, _):
        monkeypatch.setattr(ray_process.asyncio, "sleep", sleep)
        async with asyncio.timeout(20):
            while len(pauses) < 4:
                await asyncio.to_thread(time.sleep, 0.01)

    assert pauses[:4] == [0.05, 0.1, 0.2, 0.2]
    assert "Ray has ended with status 3 (Session name a does not match b)" in lines[0]


async def test_ports_that_are_open_to_every_network_are_said(node: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    wide, narrow = free_port(), free_port()
    listens = f"import socket; on = [socket.create_server(at) for at in (('', {wide}), ('127.0.0.1', {narrow}))]"
    async with supervised(node, monkeypatch, f"{listens}; {STARTS}") as (lines, _):
        await until(lambda: len(lines) == 2)

    assert lines[1].startswith(f"Ray listens on all addresses of this machine, on ports {wide}: have a firewall")


async def test_what_ray_leaves_ends_with_its_node(node: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    async with supervised(node, monkeypatch, SPAWNS) as (_, changes):
        await until(lambda: changes == [True])
        left = processes_of(node)
        assert len(left) == 2

    await until(lambda: not any(psutil.pid_exists(pid) for pid in left))


async def test_what_a_killed_supervisor_has_left_ends_at_the_next_start(
    node: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**os.environ, **node.ray_environment()}
    orphan = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", "import time; time.sleep(600)", env=environment
    )
    await until(lambda: processes_of(node) == [orphan.pid])
    async with supervised(node, monkeypatch, STARTS) as (_, changes):
        await until(lambda: changes == [True])
        assert await asyncio.wait_for(orphan.wait(), 10) == -signal.SIGKILL


async def test_a_taken_port_is_named_with_the_way_out(node: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        async with supervised(node, monkeypatch, STARTS, port) as (lines, changes):
            await until(lambda: lines)

    assert f"port {port} is taken by another program: end it, or choose others with --first-port" in lines[0]
    assert True not in changes


async def test_what_never_starts_is_given_up_and_tried_again(node: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_process, "START_TIMEOUT", 0.3)
    async with supervised(node, monkeypatch, "import time; time.sleep(600)") as (lines, changes):
        await until(lambda: len(lines) >= 2)

    assert "Ray has not started within 0 s" in lines[0]
    assert True not in changes


def test_ray_runs_without_dashboard_log_monitor_or_usage_statistics(node: Identity) -> None:
    words = start_command(node, NodeOptions("10.0.0.1", gpus=1, labels={"gpu": "a100"}, first_port=9000), is_head=True)
    options = dict(zip(words, words[1:], strict=False))

    assert words[1:5] == ["-m", "ray.scripts.scripts", "start", "--head"]
    assert "--block" in words
    assert "--disable-usage-stats" in words
    assert options["--include-dashboard"] == "false"
    assert options["--include-log-monitor"] == "false"
    assert (options["--node-ip-address"], options["--port"]) == ("10.0.0.1", "6379")
    assert (options["--num-gpus"], options["--labels"]) == ("1", "gpu=a100")
    assert (options["--node-manager-port"], options["--object-manager-port"]) == ("9000", "9001")
    assert (options["--min-worker-port"], options["--max-worker-port"]) == ("9010", "9109")
    assert node.ray_token.read_text() not in words


def test_rays_folder_is_short_and_lies_in_a_private_one(node: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ray_process.make_ray_folder(node)

    assert len(str(folder)) <= 60
    assert folder.parent.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    other = ray_process.ray_folder(node)
    assert other != folder
    other.parent.mkdir(exist_ok=True)
    with pytest.raises(PermissionError, match="belongs to somebody else"):
        ray_process.make_ray_folder(node)
    other.rmdir()
    other.parent.rmdir()
    folder.rmdir()
    folder.parent.rmdir()


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("12:00 E Failed to connect to GCS within 8 seconds.\n  raylet [exit code=1]\n", "it has lost the head"),
        ("19:01:54 ERR -- END raylet.out tail (exit code(s)=-9 (signal 9)) ---\nRemaining ones will be killed.",
         "its raylet has ended with status -9"),
        ("Ray runtime started.\n", "Ray has ended with status 7"),
        ("ConnectionError: no way\n", "Ray has ended with status 7 (ConnectionError: no way)"),
    ],
)  # fmt: skip
def test_the_reason_of_an_end_is_what_ray_says(log: str, reason: str) -> None:
    assert ray_process.explain_end(7, log) == reason
