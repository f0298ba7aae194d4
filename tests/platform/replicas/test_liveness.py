"""Replicas that hang: found while idle and while busy, killed, replaced, and their calls tried again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.platform import Platform
from bananastand.platform.store.projects import Project
from stands import Up, called, deployed, outcome_of, running, until

QUICK_LIVENESS = {"liveness_interval": 0.2, "liveness_timeout": 3.0}
KINDS = ("small", "potassium")  # a server of its own, and an app in the worker

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


async def pid_of(stand: Platform, project: Project) -> int:
    """Of the only replica, once it is ready."""
    await until(lambda: [replica.state for replica in stand.pool.of_project(project.id)] == ["ready"])
    pid = stand.pool.of_project(project.id)[0].pid
    assert pid is not None
    return pid


async def gone(stand: Platform, project: Project, pid: int) -> None:
    await until(lambda: all(replica.pid != pid for replica in stand.pool.of_project(project.id)), 30)


async def begin(stand: Platform, project: Project, route: str, value: Any) -> Any:
    """A call that is in a replica."""
    pending = await stand.submit(project, route, json.dumps(value).encode())
    await until(lambda: pending.call.id in stand.dispatcher.queue(project.id).running)
    return pending


@pytest.mark.parametrize("source", KINDS)
async def test_an_idle_replica_that_is_stopped_by_a_signal_is_replaced(tmp_path: Path, source: str) -> None:
    async with running(tmp_path, **QUICK_LIVENESS) as stand:
        project = await deployed(stand, source=source, min_replicas=1)
        pid = await pid_of(stand, project)
        os.killpg(pid, signal.SIGSTOP)
        await gone(stand, project, pid)
        await called(stand, project)
        log = [row["line"] for row in stand.log_of(project).lines()]
        assert "is killed: it is stopped by a signal" in log


@pytest.mark.parametrize("source", KINDS)
async def test_the_call_of_a_replica_that_is_stopped_by_a_signal_is_tried_again(tmp_path: Path, source: str) -> None:
    async with running(tmp_path, **QUICK_LIVENESS) as stand:
        project = await deployed(stand, source=source, min_replicas=1)
        pid = await pid_of(stand, project)
        pending = await begin(stand, project, "/sleep", {"seconds": 1.5})
        os.killpg(pid, signal.SIGSTOP)
        outcome = await outcome_of(pending)
        assert outcome.error is None
        assert pending.call.attempts == 2


async def test_an_idle_server_that_answers_no_health_question_is_replaced_and_no_call_is_lost(tmp_path: Path) -> None:
    async with running(tmp_path, **QUICK_LIVENESS) as stand:
        project = await deployed(stand, min_replicas=1)
        pid = await pid_of(stand, project)
        await called(stand, project, "/hang")
        await until(lambda: any(replica.is_suspect for replica in stand.pool.of_project(project.id)), 30)
        assert (await called(stand, project, value={"n": 1}))["got"] == {"n": 1}
        await gone(stand, project, pid)


async def test_a_server_of_one_thread_is_not_taken_to_hang_while_its_handler_runs(tmp_path: Path) -> None:
    async with running(tmp_path, liveness_interval=0.1, liveness_timeout=0.3) as stand:
        project = await deployed(stand, min_replicas=1, environment={"ONE_THREAD": "1"})
        pid = (await called(stand, project))["pid"]
        assert (await called(stand, project, "/sleep", {"seconds": 2.5}))["pid"] == pid
        assert (await called(stand, project))["pid"] == pid


async def test_a_handler_that_holds_the_interpreter_is_not_taken_to_hang_within_its_time(tmp_path: Path) -> None:
    async with running(tmp_path, liveness_interval=0.1, liveness_timeout=0.3) as stand:
        project = await deployed(stand, source="potassium", min_replicas=1)
        pid = (await called(stand, project, "/holds", {"millions": 0}))["pid"]
        began = time.monotonic()
        assert (await called(stand, project, "/holds", {"millions": 300}))["pid"] == pid
        assert time.monotonic() - began > 0.6, "it held the interpreter for too short a time to show anything"
        assert (await called(stand, project, "/holds", {"millions": 0}))["pid"] == pid


async def test_a_handler_that_holds_the_interpreter_for_ever_costs_its_own_call_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bananastand.platform.scheduling.attempts.LATE_SECONDS", 0.5)
    async with running(tmp_path, **QUICK_LIVENESS) as stand:
        project = await deployed(stand, source="potassium", inference_timeout=3, max_replicas=1)
        holds = await stand.submit(project, "/holds", b"{}", headers=(("content-type", "application/json"),))
        waits = await stand.submit(project, "/", b"{}")
        held, served = await holds.outcome(60), await waits.outcome(60)
        assert held is not None
        assert served is not None
        assert (held.status, served.status) == (504, 200)


async def test_replicas_start_and_the_platform_stops_though_the_fork_server_is_stopped_by_a_signal(
    tmp_path: Path,
) -> None:
    def fork_servers() -> list[int]:
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    words = (folder / "cmdline").read_bytes()
                    ours = str(tmp_path).encode() in (folder / "environ").read_bytes()
                    if b"--fork-server" in words and ours:
                        found.append(int(folder.name))
        return found

    async with running(tmp_path / "data", **QUICK_LIVENESS) as stand:
        mark = {"WHOSE": str(tmp_path)}
        project = await deployed(stand, source="potassium", min_replicas=1, environment=mark)
        await until(lambda: any("is warm" in row["line"] for row in stand.log_of(project).lines()), 60)
        for pid in fork_servers():
            os.kill(pid, signal.SIGSTOP)
        stopped = fork_servers()
        assert stopped
        os.killpg(await pid_of(stand, project), signal.SIGKILL)
        await until(
            lambda: not stand.pool.of_project(project.id) or stand.pool.of_project(project.id)[0].state != "ready",
            30,
        )
        outcome = await outcome_of(
            await stand.submit(project, "/seen", b"{}", headers=(("content-type", "application/json"),))
        )
        assert outcome.error is None
        await until(lambda: not set(stopped) & set(fork_servers()), 30)


def test_callers_are_served_after_every_replica_was_stopped_by_a_signal(tmp_path: Path) -> None:
    with Up(tmp_path / "data", settings=QUICK_LIVENESS) as up:
        assert up.deploy()["state"] == "live"
        up.http.patch("/stand/v1/projects/app", json={"min_replicas": 2}).raise_for_status()
        limit = time.monotonic() + 30
        while True:
            rows = up.http.get("/stand/v1/projects/app/replicas").json()["replicas"]
            if sum(row["state"] == "ready" for row in rows) == 2:
                break
            assert time.monotonic() < limit
            time.sleep(0.05)
        for row in rows:
            os.killpg(row["pid"], signal.SIGSTOP)
        for number in range(4):
            answer = up.http.post("/stand/v1/projects/app/call/", json={"n": number})
            assert (answer.status_code, answer.json()["got"]) == (200, {"n": number})
