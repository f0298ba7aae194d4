"""Replicas: scaled up and down, limited, shared among cards, and ended with their supervisor's successor."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bananastand.platform.environment import inherited
from bananastand.platform.launch import Launch
from bananastand.platform.platform import Platform
from bananastand.platform.replicas.orphans import end_orphans
from bananastand.platform.replicas.start_command import PLATFORM_VARIABLE, make_start_command, worker_arguments
from stands import APP, called, deployed, outcome_of, running, until


async def test_replicas_go_up_with_the_queue_and_down_to_zero(stand: Platform) -> None:
    project = await deployed(stand, max_replicas=3, idle_timeout=1)
    calls = [called(stand, project, "/sleep", {"seconds": 0.4}) for _ in range(9)]
    seen = {answer["pid"] for answer in await asyncio.gather(*calls)}
    assert len(seen) == 3
    await until(lambda: not stand.pool.replicas, 5)


async def test_an_idle_platform_does_no_work(stand: Platform) -> None:
    project = await deployed(stand, idle_timeout=600)
    await called(stand, project)
    await asyncio.sleep(0.1)
    before, spent = stand.scaling.runs, time.process_time()
    await asyncio.sleep(1.0)
    assert stand.scaling.runs == before
    assert time.process_time() - spent < 0.05


async def test_a_replica_over_its_memory_limit_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bananastand.platform.replicas.replica.MEMORY_LOOK", 0.05)
    async with running(tmp_path, memory_mb=80, attempts=1) as stand:
        project = await deployed(stand)
        outcome = await outcome_of(await stand.submit(project, "/large", b'{"bytes": 90000000}'))
        assert outcome.error is not None
        assert "MiB of memory, 80 are allowed" in outcome.error


async def test_each_replica_has_a_gpu_and_projects_take_turns_where_there_is_one(tmp_path: Path) -> None:
    async with running(tmp_path, gpus=("3",)) as stand:
        first = await deployed(stand, "first", idle_timeout=600)
        assert (await called(stand, first, "/environment"))["CUDA_VISIBLE_DEVICES"] == "3"
        second = await deployed(stand, "second", idle_timeout=600)
        assert (await called(stand, second, "/environment"))["CUDA_VISIBLE_DEVICES"] == "3"
        for project in (first, second, first):
            await called(stand, project)
        await until(lambda: len(stand.pool.replicas) == 1)


async def test_the_minimum_of_replicas_is_ready_and_replaced_when_killed(stand: Platform) -> None:
    project = await deployed(stand, min_replicas=1, idle_timeout=0)
    (replica,) = stand.pool.of_project(project.id)
    assert replica.pid is not None
    os.killpg(replica.pid, signal.SIGKILL)
    await until(
        lambda: [e.id for e in stand.pool.of_project(project.id) if e.state == "ready"] not in ([], [replica.id])
    )


async def test_a_replica_stopped_before_its_first_step_ends(stand: Platform) -> None:
    project = await deployed(stand, idle_timeout=600)
    (old,) = stand.pool.of_project(project.id)
    new = stand.pool.start(project, old.deployment)
    assert new is not None
    new.stop("not wanted any more", 0.0)  # its task has not run a step

    await until(lambda: new.state == "ended")
    await stand.remove(project)
    assert stand.pool.replicas == {}


def test_what_a_killed_supervisor_left_is_ended_and_nothing_else() -> None:
    command = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
    orphan = subprocess.Popen(command, env={**os.environ, PLATFORM_VARIABLE: "this stand"}, start_new_session=True)
    other = subprocess.Popen(command, env={**os.environ, PLATFORM_VARIABLE: "another"}, start_new_session=True)
    try:
        time.sleep(0.05)
        assert end_orphans("this stand")[0] == "ended 1 processes that a killed supervisor had left"
        assert orphan.wait(5) == -signal.SIGKILL
        assert other.poll() is None
        assert end_orphans("this stand") == []
    finally:
        other.kill()
        other.wait()


def test_a_replica_sees_nothing_that_could_be_a_secret_of_ours() -> None:
    passed = {"PATH": "/bin", "HF_HOME": "/models", "LC_ALL": "C", "BANANASTAND_DEVICE": "cpu", "https_proxy": "p"}
    withheld = dict.fromkeys(
        ("BANANASTAND_KEY", "BANANASTAND_GITHUB_SECRET", "BANANASTAND_VLM_KEY", "HF_TOKEN", "HF_HUB_TOKEN")
        + ("AWS_SECRET_ACCESS_KEY", "PIP_INDEX_URL", "NVIDIA_API_KEY", "SSH_AUTH_SOCK"),
        "hush",
    )
    assert inherited({**passed, **withheld}) == passed
    assert inherited({"PIP_INDEX_URL": "https://pypi.example.com"}, "PIP_") != {}


async def test_an_app_declares_its_concurrency(stand: Platform) -> None:
    """All three at once in one replica, which takes them; the project says nothing of it."""
    project = await deployed(stand, max_replicas=2, environment={"SLOTS": "3", "TAKES": "3"})
    assert stand.builds.concurrency_of(project) == 3
    answers = await asyncio.gather(*(called(stand, project, "/sleep", {"seconds": 0.3}) for _ in range(3)))
    assert len({answer["pid"] for answer in answers}) == 1
    assert not stand.at_limit(project)
    project = stand.projects.change(project, {"concurrency": 1})
    calls = [asyncio.create_task(called(stand, project, "/sleep", {"seconds": 0.5})) for _ in range(2)]
    await until(lambda: stand.at_limit(project))
    await asyncio.gather(*calls)


async def test_a_background_task_beside_other_calls_keeps_its_replica(stand: Platform) -> None:
    project = await deployed(stand, idle_timeout=0, max_replicas=1, environment={"SLOTS": "3", "TAKES": "3"})
    await called(stand, project, "/background", {"for": 1.0})
    (replica,), began = stand.pool.of_project(project.id), time.monotonic()
    while time.monotonic() < began + 0.7:
        await called(stand, project, "/sleep", {"seconds": 0.02})
        assert replica.state == "ready"
    await until(lambda: replica.state == "ended")
    assert time.monotonic() - began > 0.9


def test_a_python_file_runs_in_the_worker_or_by_its_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANANASTAND_KEY", "not for replicas")
    launch = Launch("process", ("python3", "-u", "app.py"), "/srv", {"A": "b", "PORT": "1"}, python="/venv/bin/python")

    ours = make_start_command(launch, platform="s", replica="r", port=9, concurrency=2, secrets={"B": "c"}, gpu="1")
    theirs = make_start_command(launch, platform="s", replica="r", port=9, host="potassium")

    assert (ours.command[0], ours.worker_arguments, ours.concurrency) == ("/venv/bin/python", ("app.py",), 2)
    assert {name: ours.environment[name] for name in ("A", "B", "CUDA_VISIBLE_DEVICES")} == {
        "A": "b", "B": "c", "CUDA_VISIBLE_DEVICES": "1",
    }  # fmt: skip
    assert ours.environment["PATH"].startswith("/venv/bin:")
    assert "BANANASTAND_KEY" not in ours.environment
    assert (theirs.command, theirs.worker_arguments) == (("/venv/bin/python", "-u", "app.py"), None)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("python3 -u app.py", "app.py"),
        ("python app.py --port 8000", "app.py --port 8000"),
        ("python3.9 -m package.server", "-m package.server"),
        ("python3 -m uvicorn server:app", None),
        ("python3 -c pass", None),
        ("node server.js", None),
        ("bash start.sh", None),
    ],
)
def test_python_files_and_modules_run_in_the_worker_and_other_programs_as_they_are(
    command: str, words: str | None
) -> None:
    assert worker_arguments(tuple(command.split())) == (tuple(words.split()) if words else None)


@pytest.mark.parametrize("engine", ["docker", "podman", "buildah"])
async def test_a_container_is_run_by_its_engine_and_its_secrets_are_no_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """The engine is a script that runs the small app, as the container would."""
    program, log = tmp_path / engine, tmp_path / "arguments"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {log}\ncase "$1 $2" in *"--publish"*|run*)\n'
        f'for word in "$@"; do case "$word" in 127.0.0.1:*) PORT=$(echo "$word" | cut -d: -f2);; esac; done\n'
        f'export PORT; exec {sys.executable} -S {APP};;\nesac\n'
    )  # fmt: skip
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    launch = Launch("container", ("python3", "app.py"), "/", {"VERSION": "7"}, image="an/image:1", engine=engine)

    async with running(tmp_path / "data", memory_mb=512) as stand:

        async def build(order: object) -> Launch:
            return launch

        stand.deployer._builder = build  # type: ignore[assignment]
        project = await deployed(stand, secrets={"TOKEN": "hush-hush"})
        assert (await called(stand, project))["version"] == "7"
        await stand.remove(project)
    arguments = log.read_text()
    assert "an/image:1" in arguments
    assert ("--env TOKEN" in arguments) == (engine != "buildah"), "buildah's container reads values from its input"
    assert "--memory 512m" in arguments
    assert "hush-hush" not in arguments
    *_, container, image = arguments.splitlines()
    assert container.startswith("rm")
    assert image == f"{'rmi' if engine == 'buildah' else 'image rm'} an/image:1"
