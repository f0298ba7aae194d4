"""What PostgreSQL alone does: one active front, a server that restarts, notifications, and rows moved from SQLite."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text

from bananastand.platform.errors import Conflict, Refused, StoreError
from bananastand.platform.store.backup import back_up
from bananastand.platform.store.database import STEPS
from bananastand.platform.store.keys import Keys
from bananastand.platform.store.postgresql.store import PostgresStore
from bananastand.platform.store.postgresql.transfer import move_to_postgres
from bananastand.platform.store.projects import Projects
from postgresql import PostgresServer
from stands import called, deployed, outcome_of, running, until

pytestmark = pytest.mark.needs("postgres")


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        rows = [tuple(row) for row in connection.execute(text(statement))]
    engine.dispose()
    return rows


async def test_a_second_front_waits_takes_over_and_the_first_one_writes_nothing_more(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOCK_SECONDS", "FLUSH_SECONDS"):
        monkeypatch.setattr(f"bananastand.platform.store.postgresql.store.{name}", 0.5)
    first, second = PostgresStore(url), PostgresStore(url)
    first.take_lock()
    Projects(first).create("before")
    await first.flush()
    with pytest.raises(Conflict, match="another platform runs on the database"):
        second.take_lock()
    waiting = asyncio.ensure_future(second.hold_lock())
    await asyncio.sleep(0.5)
    assert not waiting.done()

    query(url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
    async with asyncio.timeout(10):
        while not (waiting.done() or first.session.is_lost):
            await asyncio.sleep(0.02)
    if first.session.number is not None and not waiting.done():  # the first one was faster: end its process
        first.session.close()
    await waiting
    assert [project.name for project in Projects(second).list()] == ["before"]
    Projects(first).create("late")
    with pytest.raises(StoreError):
        await first.write(lambda connection: connection.execute(text("DELETE FROM projects")))
    assert query(url, "SELECT name FROM projects") == [("before",)]
    for store in (first, second):
        with suppress(StoreError):
            await store.finish()
        store.close()


async def test_notifications_reach_all_that_listen(url: str) -> None:
    first, second = PostgresStore(url), PostgresStore(url)
    heard = list[str]()
    second.listen("ends", heard.append)
    await until(lambda: heard == [""])
    await first.notify("ends", "call_1")
    await until(lambda: heard == ["", "call_1"])
    for store in (first, second):
        await store.finish()
        store.close()


async def test_calls_go_on_after_the_server_was_killed(
    tmp_path: Path, postgres_server: PostgresServer, url: str
) -> None:
    async with running(tmp_path, database=url) as platform:
        project = await deployed(platform)
        pending = await platform.submit(project, "/sleep", b'{"seconds": 0.5}', durable=False)
        await until(lambda: platform.dispatcher.queue(project.id).running)
        postgres_server.stop(signal.SIGQUIT)
        try:
            with pytest.raises(StoreError):
                await platform.submit(project, "/", b"{}")
            await asyncio.sleep(0.7)
            assert not pending.done.done(), "its end is recorded before anybody hears of it"
            platform.projects.change(project, {"idle_timeout": 77})
        finally:
            postgres_server.start()
        assert (await outcome_of(pending)).status == 200
        await platform.store.flush()
        await called(platform, project, value={"n": 1})
    assert query(url, "SELECT idle_timeout FROM projects") == [(77,)]
    assert query(url, "SELECT count(*), count(finished) FROM calls") == [(2, 2)]
    assert query(url, "SELECT sum(runs) FROM usage") == [(2,)]


async def test_the_event_loop_goes_on_while_the_server_stands_still(tmp_path: Path, url: str) -> None:
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - began)

    async with running(tmp_path, database=url) as platform:
        project = await deployed(platform)
        engine, ticking = create_engine(url.replace("postgresql:", "postgresql+psycopg:")), asyncio.create_task(tick())
        with engine.begin() as other:
            other.execute(text("LOCK TABLE calls, projects IN ACCESS EXCLUSIVE MODE"))
            call = asyncio.create_task(called(platform, project, value={"n": 1}))
            platform.projects.change(project, {"idle_timeout": 5})
            await asyncio.sleep(1.0)
            assert not call.done()
            assert not platform.store.is_flushed
        engine.dispose()
        assert (await call)["got"] == {"n": 1}
        ticking.cancel()
    assert longest < 0.5


def test_texts_and_addresses_that_no_server_takes_are_refused(url: str) -> None:
    store = PostgresStore(url)
    store.take_lock()
    with pytest.raises(Refused, match="NUL"):
        Projects(store).create("app", model_key="a\0b")
    assert Projects(store).list() == []
    store.close()
    with pytest.raises(Refused, match="must be a URL that begins with postgresql://"):
        PostgresStore("mysql://host/name")
    with pytest.raises(StoreError, match="does not answer") as refused:
        PostgresStore("postgresql://someone:secret@127.0.0.1:1/name")
    assert "secret" not in str(refused.value)


def test_a_database_is_migrated_in_one_step_and_a_newer_one_is_refused(url: str) -> None:
    def add_note(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE projects ADD COLUMN note TEXT DEFAULT 'new'"))

    def fail(connection: Connection) -> None:
        add_note(connection)
        connection.execute(text("INSERT INTO missing VALUES (1)"))

    PostgresStore(url).close()
    with pytest.raises(StoreError, match="missing"):
        PostgresStore(url, (*STEPS, fail))
    PostgresStore(url, (*STEPS, add_note)).close()
    assert query(url, "SELECT number FROM schema_version") == [(len(STEPS) + 1,)]
    with pytest.raises(Conflict, match=f"is of version {len(STEPS) + 1} and this program knows {len(STEPS)}"):
        PostgresStore(url)


async def _used(data: Path) -> tuple[str, str, str]:
    async with running(data) as platform:
        project = await deployed(platform, secrets={"TOKEN": "secret"})
        await called(platform, project, value={"text": "nul: \0 ä"}, request_id="one")
        _, secret = platform.keys.create("laptop")
        return platform.store.id, project.id, secret


def test_all_rows_move_to_postgresql_and_the_platform_goes_on_there(tmp_path: Path, url: str) -> None:
    data = tmp_path / "data"
    identity, project_id, secret = asyncio.run(_used(data))
    steps = list[tuple[str, int, int]]()
    counts = move_to_postgres(data, url, lambda *step: steps.append(step))

    assert (counts["projects"], counts["builds"], counts["calls"], counts["usage"]) == (1, 1, 1, 1)
    assert ("calls", 1, 1) in steps
    assert not (data / "stand.sqlite").exists()

    async def go_on() -> None:
        async with running(data, database=url) as platform:
            assert platform.store.id == identity
            assert platform.keys.find(secret) is not None
            project = platform.projects.named("app")
            assert project.id == project_id
            again = await platform.submit(project, "/", b'{"text": "nul: \\u0000 \\u00e4"}', request_id="one")
            assert again.done.done(), "the call was made before"
            await called(platform, project, value={"n": 2})

    asyncio.run(go_on())
    with pytest.raises(Conflict, match="are in PostgreSQL, at 127.0.0.1"):
        asyncio.run(_used(data))
    with pytest.raises(Refused, match="back them up with pg_dump"):
        back_up(data, tmp_path / "backup.tar.gz")
    with pytest.raises(Refused, match="its rows are in PostgreSQL"):
        move_to_postgres(data, url, lambda *step: None)


def test_a_move_is_refused_to_rows_of_another_platform_and_repeated_after_a_kill(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    asyncio.run(_used(one))
    asyncio.run(_used(two))

    class Killed(BaseException):
        pass

    def kill_in_calls(table: str, written: int, total: int) -> None:
        if table == "calls":
            raise Killed

    with pytest.raises(Killed):
        move_to_postgres(one, url, kill_in_calls)
    assert query(url, "SELECT count(*) FROM projects") == [(0,)]
    with monkeypatch.context() as patch:
        patch.setattr(
            "bananastand.platform.store.postgresql.transfer.note_server",
            lambda data, server: kill_in_calls("calls", 0, 0),
        )
        with pytest.raises(Killed):
            move_to_postgres(one, url, lambda *step: None)
    assert move_to_postgres(one, url, lambda *step: None)["projects"] == 1
    with pytest.raises(Conflict, match="has rows already: name an empty one"):
        move_to_postgres(two, url, lambda *step: None)
    assert (two / "stand.sqlite").exists()


async def test_a_move_of_a_running_platform_is_refused(tmp_path: Path, url: str) -> None:
    async with running(tmp_path) as platform:
        Keys(platform.store)
        with pytest.raises(Conflict, match="another stand is running"):
            await asyncio.to_thread(move_to_postgres, tmp_path, url, lambda *step: None)
