"""Calls that take their replica with them: neighbours are tried again alone, and only attempts made alone count."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bananastand.platform.platform import Platform
from bananastand.platform.scheduling.pending_call import PendingCall
from bananastand.platform.store.projects import Project
from stands import called, deployed, outcome_of, running, until


async def begin(platform: Platform, project: Project, route: str, seconds: float) -> PendingCall:
    """A call that is in a replica."""
    pending = await platform.submit(project, route, json.dumps({"seconds": seconds}).encode())
    await until(lambda: pending.call.id in platform.dispatcher.queue(project.id).running)
    return pending


def begun(executed: Path, pending: PendingCall) -> int:
    """How often a handler has begun it."""
    return sum(line.split()[0] == pending.call.run_id for line in executed.read_text().splitlines())


async def test_a_call_that_crashes_its_replica_fails_alone_and_its_neighbours_succeed(tmp_path: Path) -> None:
    executed = tmp_path / "executed"

    async with running(tmp_path / "data", attempts=3) as platform:
        environment = {"EXECUTED": str(executed), "SLOTS": "4"}
        project = await deployed(platform, concurrency=4, max_replicas=1, min_replicas=1, environment=environment)
        good = [await begin(platform, project, "/sleep", 5.0) for _ in range(3)]
        bad = await begin(platform, project, "/crash", 0)
        outcome = await outcome_of(bad)
        assert outcome.error is not None
        assert outcome.error.startswith("the call was given up after 3 attempts: the replica ended with status 7")
        assert [(await outcome_of(pending)).error for pending in good] == [None] * 3
        assert begun(executed, bad) == 4, "once beside others, and three times alone"
        assert all(begun(executed, pending) <= 2 for pending in good)
        assert [pending.call.attempts for pending in good] == [1] * 3


async def test_a_call_that_is_tried_alone_has_no_other_beside_it(tmp_path: Path) -> None:
    executed = tmp_path / "executed"

    async with running(tmp_path / "data", attempts=3) as platform:
        environment = {"EXECUTED": str(executed), "SLOTS": "4"}
        project = await deployed(platform, concurrency=4, max_replicas=1, min_replicas=1, environment=environment)
        first, second = [await begin(platform, project, "/sleep", 1.0) for _ in range(2)]
        await begin(platform, project, "/crash", 0)
        await until(lambda: first.alone and second.alone)
        late = [await platform.submit(project, "/sleep", b'{"seconds": 0.1}') for _ in range(4)]
        at_once = 0
        while not all(pending.done.done() for pending in (first, second, *late)):
            at_work = list(platform.dispatcher.queue(project.id).running.values())
            if any(execution.alone for execution in at_work):
                assert len(at_work) == 1
            at_once = max(at_once, len(at_work))
            await asyncio.sleep(0.01)
        assert at_once > 1, "the others go on side by side"
        assert [(await outcome_of(pending)).error for pending in (first, second, *late)] == [None] * 6


def test_what_is_tried_alone_and_its_attempts_are_known_after_a_restart(tmp_path: Path) -> None:
    executed = tmp_path / "executed"

    async def first() -> str:
        async with running(tmp_path / "data", attempts=3, backoff=60.0) as platform:
            environment = {"EXECUTED": str(executed), "SLOTS": "2"}
            project = await deployed(platform, concurrency=2, max_replicas=1, environment=environment)
            waits = await begin(platform, project, "/sleep", 5.0)
            bad = await begin(platform, project, "/crash", 0)
            await until(lambda: waits.alone and bad.alone)
            return bad.call.id

    async def second(name: str) -> None:
        async with running(tmp_path / "data", attempts=3) as platform:
            bad = await platform.dispatcher.find(name)
            assert bad is not None
            assert bad.alone
            assert (await outcome_of(bad)).status == 500
            assert begun(executed, bad) == 4

    asyncio.run(second(asyncio.run(first())))


async def test_a_handler_that_does_not_end_leaves_its_neighbours_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bananastand.platform.scheduling.attempts.LATE_SECONDS", 0.3)
    executed = tmp_path / "executed"

    async with running(tmp_path / "data") as platform:
        environment = {"EXECUTED": str(executed), "SLOTS": "2"}
        project = await deployed(platform, concurrency=2, max_replicas=1, inference_timeout=4, environment=environment)
        stuck = await begin(platform, project, "/sleep", 600)
        replica = platform.pool.of_project(project.id)[0]
        await asyncio.sleep(2.5)
        neighbour = await begin(platform, project, "/sleep", 3.0)
        assert (await outcome_of(stuck)).status == 504
        await until(lambda: replica.state == "draining")
        assert not neighbour.done.done()
        assert (await outcome_of(neighbour)).error is None
        await asyncio.wait_for(asyncio.shield(replica.ended), 30)
        assert replica.failure == "its handler went on for 0.3 s after its time was up"
        assert begun(executed, neighbour) == 1
        await called(platform, project)


async def test_a_replica_with_a_stuck_handler_is_ended_when_its_other_calls_take_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bananastand.platform.scheduling.attempts.LATE_SECONDS", 0.3)
    async with running(tmp_path / "data", drain_timeout=0.5) as platform:
        project = await deployed(
            platform, concurrency=2, max_replicas=1, inference_timeout=10, environment={"SLOTS": "2"}
        )
        stuck = await begin(platform, project, "/sleep", 600)
        await asyncio.sleep(6.0)
        neighbour = await begin(platform, project, "/sleep", 7.0)
        assert (await outcome_of(stuck)).status == 504
        assert (await outcome_of(neighbour)).error is None
        assert (neighbour.alone, neighbour.call.attempts) == (True, 1)
