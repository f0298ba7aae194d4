"""A real Potassium app as a replica: on our host, and on Potassium's own server where the project says so."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import pytest

from bananastand.platform.platform import Platform
from bananastand.platform.replicas.orphans import find_orphans
from stands import called, deployed, outcome_of, until


def lines(stand: Platform) -> list[str]:
    return [entry["line"] for entry in stand.log_of(stand.projects.named("app")).lines()]


@pytest.mark.parametrize(("host", "named"), [("bananastand", "in the worker"), ("potassium", "by its own command")])
async def test_an_app_answers_on_either_server(stand: Platform, host: str, named: str) -> None:
    project = await deployed(stand, source="potassium", host=host)
    answer = await called(stand, project, value={"n": 1})
    assert answer["got"] == {"n": 1}
    fails = await outcome_of(await stand.submit(project, "/fails", b"{}"))
    assert fails.status == 500
    missing = await outcome_of(await stand.submit(project, "/nothing", b"{}"))
    assert (missing.status, missing.error) == (404, "the app answered 404")
    assert any(line.endswith(named) for line in lines(stand))


async def test_a_background_handler_and_a_warm_up_are_understood(stand: Platform) -> None:
    project = await deployed(stand, source="potassium", max_replicas=1, idle_timeout=0)
    began = time.monotonic()
    assert await called(stand, project, "/_k/warmup") == {"warm": True}
    assert await called(stand, project, "/background", {"seconds": 0.6, "name": "x"}) == {"started": True}
    assert (await called(stand, project, "/seen"))["seen"] == ["x"], "its replica was not stopped meanwhile"
    assert time.monotonic() - began > 0.6


async def test_a_cancelled_call_reaches_the_handler(stand: Platform) -> None:
    project = await deployed(stand, source="potassium", max_replicas=1, idle_timeout=600)
    await called(stand, project)
    pending = await stand.submit(project, "/sleep", b'{"seconds": 20}')
    await asyncio.sleep(0.3)
    assert await stand.dispatcher.cancel(pending.call.id)
    assert (await called(stand, project, "/seen"))["seen"] == ["the caller is gone"]


async def test_an_init_that_fails_fails_the_deploy_with_its_words(stand: Platform) -> None:
    build = stand.deploy("app", "potassium", environment={"INIT_FAILS": "1"})
    async for _ in stand.deployer.log(build).follow():
        pass
    error = stand.builds.get(build.id).error or ""
    assert error == "init() failed; its last error: RuntimeError: no model here (hosted.py:19)"


@pytest.mark.skipif(sys.platform != "linux", reason="forked starts are Linux's")
async def test_the_second_start_is_forked_from_a_fork_server_with_the_apps_imports(stand: Platform) -> None:
    project = await deployed(stand, source="potassium", idle_timeout=0, environment={"SHOWN": "1"})
    await until(lambda: any("is warm" in line for line in lines(stand)))
    await until(lambda: not stand.pool.replicas)
    assert (await called(stand, project, value={"n": 1}))["got"] == {"n": 1}
    first, second = [line for line in lines(stand) if "ready after" in line]
    assert "started as a process in" in first
    assert "forked from a fork server that has its imports in" in second


@pytest.mark.skipif(sys.platform != "linux", reason="forked starts are Linux's")
async def test_a_forked_replica_dies_with_its_fork_server_and_is_started_again(stand: Platform) -> None:
    project = await deployed(stand, source="potassium", idle_timeout=0)
    await until(lambda: any("is warm" in line for line in lines(stand)))
    await until(lambda: not stand.pool.replicas)
    stand.projects.change(project, {"idle_timeout": 600})
    await called(stand, project)
    (replica,) = stand.pool.of_project(project.id)
    others = [pid for pid in find_orphans(stand.store.id) if pid != replica.pid]
    for pid in others:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: replica.state == "ended")
    assert (await called(stand, project, value={"n": 2}))["got"] == {"n": 2}
