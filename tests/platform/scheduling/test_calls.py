"""Calls of the local Banana: durable, idempotent, each ended once."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bananastand.platform.errors import Conflict, StoreFull
from bananastand.platform.platform import Platform
from stands import called, deployed, outcome_of, running, until

pytestmark = pytest.mark.usefixtures("database")


async def test_a_call_starts_a_replica_and_gets_its_answer(stand: Platform) -> None:
    project = await deployed(stand)
    assert (await called(stand, project, value={"prompt": "x"}))["got"] == {"prompt": "x"}


async def test_an_error_of_the_app_is_the_calls_end_and_is_not_tried_again(stand: Platform, tmp_path: Path) -> None:
    project = await deployed(stand, environment={"EXECUTED": str(tmp_path / "executed")})
    outcome = await outcome_of(await stand.submit(project, "/fails", b"{}"))
    assert (outcome.status, outcome.error) == (500, "the app answered 500: the handler failed")
    assert len((tmp_path / "executed").read_text().splitlines()) == 1


def test_the_same_request_id_runs_once_also_after_a_restart(tmp_path: Path) -> None:
    executed = tmp_path / "executed"

    async def ask() -> object:
        async with running(tmp_path / "data") as platform:
            project = platform.projects.find("app") or await deployed(platform, environment={"EXECUTED": str(executed)})
            return await called(platform, project, value={"n": 1}, request_id="one")

    first, second = asyncio.run(ask()), asyncio.run(ask())

    assert first == second
    assert len(executed.read_text().splitlines()) == 1


async def test_two_callers_with_one_request_id_share_the_call(stand: Platform, tmp_path: Path) -> None:
    project = await deployed(stand, environment={"EXECUTED": str(tmp_path / "executed")})
    both = [called(stand, project, "/sleep", {"seconds": 0.2}, request_id="one") for _ in range(2)]
    first, second = await asyncio.gather(*both)
    other = await called(stand, project, "/sleep", {"seconds": 0.1}, request_id="one")
    assert first == second
    assert other["got"] == {"seconds": 0.1}, "another body is another call"
    assert len((tmp_path / "executed").read_text().splitlines()) == 2


async def test_a_replica_that_dies_gives_its_call_back_until_the_attempts_are_used_up(tmp_path: Path) -> None:
    async with running(tmp_path, attempts=3) as platform:
        project = await deployed(platform, environment={"EXECUTED": str(tmp_path / "executed")})
        outcome = await outcome_of(await platform.submit(project, "/crash", b"{}"))
        assert outcome.status == 500
        assert outcome.error == (
            "the call was given up after 3 attempts: the replica ended with status 7; "
            "its last lines: a line of the app, no token | about to crash"
        )
        assert len((tmp_path / "executed").read_text().splitlines()) == 3
        assert (await called(platform, project))["got"] == {}, "the next call finds a new replica"


def test_calls_that_wait_outlive_their_supervisor(tmp_path: Path) -> None:
    async def before() -> list[str]:
        async with running(tmp_path) as platform:
            project = await deployed(platform, max_replicas=1)
            pending_calls = [await platform.submit(project, "/sleep", b'{"seconds": 0.3}') for _ in range(3)]
            await until(lambda: platform.dispatcher.queue(project.id).running)
            return [pending.call.id for pending in pending_calls]

    async def after(names: list[str]) -> list[object]:
        async with running(tmp_path) as platform:
            found = [await platform.dispatcher.find(name) for name in names]
            return [await pending.outcome(20) for pending in found if pending is not None]

    outcomes = asyncio.run(after(asyncio.run(before())))

    assert [json.loads(outcome.body)["got"] for outcome in outcomes] == [{"seconds": 0.3}] * 3  # type: ignore[attr-defined]


async def test_a_call_that_is_called_off_ends_whether_it_waits_or_runs(stand: Platform) -> None:
    project = await deployed(stand, max_replicas=1)
    runs, waits = [await stand.submit(project, "/sleep", b'{"seconds": 5}') for _ in range(2)]
    await until(lambda: stand.dispatcher.queue(project.id).running)
    began = time.monotonic()
    assert await stand.dispatcher.cancel(waits.call.id)
    assert await stand.dispatcher.cancel(runs.call.run_id)
    for pending in (runs, waits):
        outcome = await outcome_of(pending)
        assert outcome.error == "the run was cancelled"
    assert time.monotonic() - began < 2
    assert not await stand.dispatcher.cancel(runs.call.id)
    assert not await stand.dispatcher.cancel("call_of_nobody")


async def test_a_call_that_takes_too_long_is_a_504_and_its_replica_is_kept_once_it_is_free(stand: Platform) -> None:
    project = await deployed(stand, inference_timeout=1, max_replicas=1)
    first = await called(stand, project)
    outcome = await outcome_of(await stand.submit(project, "/sleep", b'{"seconds": 1.5}'))
    assert outcome.status == 504
    assert outcome.error is not None
    assert outcome.error.startswith("the app did not answer in 1 s")
    assert (await called(stand, project))["pid"] == first["pid"]


async def test_a_replica_whose_handler_does_not_end_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bananastand.platform.scheduling.attempts.LATE_SECONDS", 0.3)
    async with running(tmp_path) as platform:
        project = await deployed(platform, inference_timeout=1, max_replicas=1)
        first = await called(platform, project)
        late = await platform.submit(project, "/sleep", b'{"seconds": 60}')
        await late.outcome(10)
        assert (await called(platform, project))["pid"] != first["pid"]


@pytest.mark.parametrize(
    ("status", "header"),
    [(423, "retry-after"), (423, None), (429, "retry-after"), (503, "retry-after"), (503, None)],
)
async def test_an_apps_own_busy_answer_is_the_calls_end_and_its_handler_runs_once(
    stand: Platform, tmp_path: Path, status: int, header: str | None
) -> None:
    project = await deployed(stand, environment={"EXECUTED": str(tmp_path / "executed")})
    answer = {"status": status, "headers": [[header, "handler"]] if header else []}
    outcome = await outcome_of(await stand.submit(project, "/answers", json.dumps(answer).encode()))
    assert (outcome.status, outcome.from_app) == (status, True)
    assert len((tmp_path / "executed").read_text().splitlines()) == 1


async def test_large_bodies_and_answers_lie_in_files_and_go_with_their_call(stand: Platform, tmp_path: Path) -> None:
    project = await deployed(stand)
    pending = await stand.submit(project, "/large", json.dumps({"bytes": 300_000, "pad": "y" * 100_000}).encode())
    outcome = await outcome_of(pending)
    assert len(json.loads(outcome.body)["large"]) == 300_000
    assert [path.name for path in (tmp_path / "bodies").iterdir()] == [f"{pending.call.id}.answer"]
    again = await stand.dispatcher.find(pending.call.id)
    assert again is not None
    assert again is not pending
    assert await again.outcome() == outcome
    assert await stand.calls.forget_before(time.time()) == 1
    assert list((tmp_path / "bodies").iterdir()) == []
    assert await stand.dispatcher.find(pending.call.id) is None


def test_a_file_without_its_row_is_removed_at_the_next_start(tmp_path: Path) -> None:
    async def scenario(left: bytes | None) -> list[str]:
        async with running(tmp_path) as platform:
            project = platform.projects.find("app") or await deployed(platform)
            if left is not None:
                await called(platform, project, "/large", {"bytes": 100_000})
                (tmp_path / "bodies" / "call_of_nobody.body").write_bytes(left)
            return sorted(path.name for path in (tmp_path / "bodies").iterdir())

    before = asyncio.run(scenario(b"x" * 100))
    after = asyncio.run(scenario(None))

    assert len(before) == 2
    assert after == [name for name in before if name != "call_of_nobody.body"]


async def test_events_reach_the_caller_as_they_come_and_are_recorded_whole(stand: Platform) -> None:
    project = await deployed(stand)
    pending = await stand.submit(project, "/events", b'{"events": 3}')
    await until(lambda: pending.response_head is not None)
    pieces = [piece async for piece in pending.chunks()]
    outcome = await outcome_of(pending)
    assert len(pieces) > 1
    assert b"".join(pieces) == outcome.body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"


async def test_a_background_task_keeps_its_replica_until_it_is_over(stand: Platform) -> None:
    project = await deployed(stand, idle_timeout=0, max_replicas=1)
    began = time.monotonic()
    assert await called(stand, project, "/background", {"for": 0.5}) == {"started": True}
    await called(stand, project)
    assert time.monotonic() - began >= 0.5


def fill_disk(connection: Connection) -> None:
    """Fill the disk, or let the server report one as it does: by the code 53100 when it extends a file."""
    if connection.dialect.name == "sqlite":
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    else:
        full = "RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'"
        connection.exec_driver_sql(
            f"CREATE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN {full}; END $$ LANGUAGE plpgsql"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON calls EXECUTE FUNCTION full_disk()"
        )


def free_disk(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    else:
        connection.exec_driver_sql("DROP TRIGGER full_disk ON calls")


async def test_on_a_full_disk_nothing_is_acknowledged_and_what_runs_is_told_when_it_can_be_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bananastand.platform.scheduling.recorder.WAIT_SECONDS", 0.3)
    monkeypatch.setattr("bananastand.platform.scheduling.recorder.RETRY_SECONDS", 0.05)

    async with running(tmp_path) as platform:
        project = await deployed(platform)
        pending = await platform.submit(project, "/large", b'{"bytes": 60000, "seconds": 0.3}')
        await until(lambda: pending.call.state == "running")  # its lease is written
        await platform.store.write(fill_disk)
        with pytest.raises(StoreFull, match="is full: free some space"):
            await platform.submit(project, "/", json.dumps({"x": "y" * 60_000}).encode())
        assert await pending.outcome(10) is None
        assert pending.release_reason is not None
        assert pending.release_reason.startswith(
            f"the end of the call {pending.call.id} cannot be stored yet, ask for it"
        )
        assert "is full" in pending.release_reason
        await platform.store.write(free_disk)
        await until(lambda: pending.done.done())
        outcome = await outcome_of(pending)
        assert (outcome.error, len(outcome.body) > 60_000) == (None, True)
        await called(platform, project)


async def test_a_data_directory_has_one_supervisor(tmp_path: Path) -> None:
    async with running(tmp_path):
        with pytest.raises(Conflict, match="another stand is running"):
            async with running(tmp_path):
                pass
