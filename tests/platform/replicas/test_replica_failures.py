"""A version that was live and fails later: its log, `ps` and the calls say why, and what to do."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from bananastand.platform.platform import Platform
from bananastand.platform.replicas.process import with_descendants
from bananastand.platform.store.projects import Project
from paths import SUPPORT
from stands import deployed, outcome_of, running, until

APP = SUPPORT / "replica_app.py"


async def test_a_version_that_fails_after_it_was_live_comes_with_advice(tmp_path: Path) -> None:
    async with running(tmp_path, starts=2) as stand:
        project = await deployed(stand, idle_timeout=0)
        await until(lambda: not stand.pool.replicas)
        broken = tmp_path / "broken.py"
        broken.write_text("import cv2_of_another_day\n")
        with stand.store.transaction() as connection:
            connection.exec_driver_sql("UPDATE deployments SET launch = replace(launch, ?, ?)", (str(APP), str(broken)))
        outcome = await outcome_of(await stand.submit(project, "/", b"{}"))
        step = "Add `cv2-of-another-day` to requirements.txt."
        assert step in str(outcome.error)
        assert step in str(stand.problem(stand.projects.named("app")))
        lines = [str(row["line"]) for row in stand.log_of(project).last(100)]
        assert any(line.startswith("advice: cv2_of_another_day is not installed") for line in lines)


async def kill_a_start(stand: Platform, project: Project) -> None:
    """Kill the next replica that starts, as somebody else would."""
    await until(lambda: any(replica.pid for replica in stand.pool.of_project(project.id)))
    (replica,) = stand.pool.of_project(project.id)
    for pid in reversed(with_descendants(replica.pid or 0)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await replica.ended


@pytest.mark.parametrize("source", ["small", "potassium"])
async def test_starts_that_somebody_kills_make_no_call_of_a_proven_version_hopeless(
    tmp_path: Path, source: str
) -> None:
    async with running(tmp_path, starts=2, fork_servers=0) as stand:
        environment = {"START_SECONDS": "1", "INIT_SECONDS": "1"}
        project = await deployed(stand, source=source, idle_timeout=0, environment=environment)
        await until(lambda: not stand.pool.replicas)
        pending = await stand.submit(project, "/", json.dumps({"n": 1}).encode())

        for number in range(4):
            await kill_a_start(stand, project)
            assert stand.pool.failing[project.live or ""].failures == number + 1, "the next one waits longer"

        assert not pending.done.done()
        assert (await outcome_of(pending)).error is None


async def test_the_first_start_of_a_version_that_somebody_kills_fails_its_build(tmp_path: Path) -> None:
    async with running(tmp_path) as stand:
        project = stand.projects.create("app")
        build = stand.deploy("app", "small", environment={"START_SECONDS": "5"})
        await kill_a_start(stand, project)
        await until(lambda: stand.builds.get(build.id).state == "failed")
