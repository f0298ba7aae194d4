"""Calls whose callers leave while the row is written, rows of a platform that was killed, and ends that stay."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bananastand.platform.platform import Platform
from bananastand.platform.scheduling import outcomes
from stands import called, deployed, outcome_of, running, until


@contextmanager
def locked(data: Path) -> Generator[None]:
    """Another program has the database: what is written waits."""
    with closing(sqlite3.connect(data / "stand.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_a_call_whose_caller_leaves_before_it_is_acknowledged_is_cancelled(
    stand: Platform, tmp_path: Path
) -> None:
    project = await deployed(stand, inference_timeout=60)
    with locked(tmp_path):
        call = asyncio.create_task(stand.submit(project, "/sleep", b'{"seconds": 60}'))
        await asyncio.sleep(0.2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await stand.store.write(lambda connection: None)  # what was asked for before is written
    await until(lambda: not stand.dispatcher.queue(project.id).waiting)
    while await stand.calls.unfinished():
        await asyncio.sleep(0.02)


async def test_a_call_with_a_request_id_is_done_though_its_caller_left_before_it_was_acknowledged(
    stand: Platform,
    tmp_path: Path,
) -> None:
    project = await deployed(stand, environment={"EXECUTED": str(tmp_path / "executed")})
    with locked(tmp_path):
        call = asyncio.create_task(stand.submit(project, "/", b'{"n": 1}', request_id="one"))
        await asyncio.sleep(0.2)
        call.cancel()
    answer = await called(stand, project, value={"n": 1}, request_id="one")
    assert answer["got"] == {"n": 1}
    assert len((tmp_path / "executed").read_text().splitlines()) == 1


async def test_a_caller_that_leaves_takes_no_other_caller_of_the_same_request_id_with_it(
    stand: Platform, tmp_path: Path
) -> None:
    project = await deployed(stand)
    with locked(tmp_path):
        first, second = (
            asyncio.create_task(stand.submit(project, "/", b'{"n": 1}', request_id="one")) for _ in range(2)
        )
        await asyncio.sleep(0.2)
        second.cancel()
    outcome = await outcome_of(await first)
    assert outcome.error is None


def test_a_call_that_has_used_up_its_attempts_ends_at_the_next_start_and_is_not_tried_again(tmp_path: Path) -> None:
    """The platform may be killed after it has given the call back and before its end is recorded."""
    executed = tmp_path / "executed"

    async def first() -> str:
        async with running(tmp_path / "data") as platform:
            project = await deployed(platform, environment={"EXECUTED": str(executed)})
            pending = await platform.submit(project, "/sleep", b'{"seconds": 30}')
            await until(executed.exists)
            return pending.call.id

    async def second(call: str) -> None:
        async with running(tmp_path / "data") as platform:
            pending = await platform.dispatcher.find(call)
            assert pending is not None
            outcome = await outcome_of(pending)
            assert outcome.error == "the call was given up after 3 attempts: the platform was killed while it ran"
            assert len(executed.read_text().splitlines()) == 1

    call = asyncio.run(first())
    with closing(sqlite3.connect(tmp_path / "data" / "stand.sqlite")) as database:
        database.execute("UPDATE calls SET state = 'queued', attempts = 3 WHERE id = ?", (call,))
        database.commit()
    asyncio.run(second(call))


async def test_no_late_lease_and_no_late_return_to_the_queue_changes_an_end(stand: Platform) -> None:
    project = await deployed(stand)
    pending = await stand.submit(project, "/", b"{}")
    await pending.outcome(30)
    call = pending.call
    await stand.calls.lease(call, "a replica", 30.0)
    stand.calls.requeue(call, counted=False)
    await stand.calls.finish(call, outcomes.CANCELLED, project.model_key)
    recorded = await stand.calls.find(call.id)
    assert recorded is not None
    assert (recorded.state, recorded.status, recorded.error) == ("succeeded", 200, None)
