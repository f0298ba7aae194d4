"""The database locked by another program, and written on a thread: what goes on, and what waits."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Connection, text

from bananastand.platform.errors import StoreError
from bananastand.platform.http.app import PlatformServer
from bananastand.platform.store import writer
from bananastand.platform.store.database import SqliteStore
from bananastand.platform.store.projects import Projects
from servers import free_port
from stands import Up, running

FRONT = free_port()


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("locked") / "data", fronts=[[FRONT, "app"]]) as running:
        assert running.deploy()["state"] == "live"
        running.http.post("/stand/v1/projects/app/call/", json={}).raise_for_status()
        yield running


def test_health_and_pages_are_answered_while_another_program_has_the_database_locked(up: Up) -> None:
    answers: list[httpx2.Response] = []
    caller = threading.Thread(
        target=lambda: answers.append(httpx2.post(f"http://127.0.0.1:{FRONT}/", json={}, timeout=60, trust_env=False))
    )
    slowest = 0.0
    with locked(up.data / "stand.sqlite"):
        caller.start()
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            began = time.monotonic()
            assert up.http.get("/healthz").status_code == 200
            slowest = max(slowest, time.monotonic() - began)
            assert up.http.get("/stand/v1/projects").status_code == 200
            assert up.http.get("/metrics").status_code == 200
        waits = caller.is_alive()
    caller.join(60)

    assert slowest < 2.0, "before, it waited for five seconds"
    assert waits, "a call is not acknowledged before its row is written"
    assert answers[0].status_code == 200


def test_settings_are_refused_with_the_reason_while_the_database_is_locked(up: Up) -> None:
    with locked(up.data / "stand.sqlite"):
        refused = up.http.patch("/stand/v1/projects/app", json={"max_replicas": 2})
    changed = up.http.patch("/stand/v1/projects/app", json={"max_replicas": 2})

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store")
    assert "is locked by another program" in refused.json()["error"]["message"]
    assert changed.json()["max_replicas"] == 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "stand.sqlite")
    with opened.transaction() as connection:
        connection.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT UNIQUE)"))
    yield opened
    opened.close()


async def test_writes_are_made_in_the_order_in_which_they_were_asked_for(store: SqliteStore) -> None:
    def insert(note: str) -> object:
        return lambda connection: connection.execute(text("INSERT INTO notes (note) VALUES (:n)"), {"n": note})

    await asyncio.gather(*(store.write(insert(str(n))) for n in range(500)))  # type: ignore[arg-type]
    with store.reading() as connection:
        assert connection.execute(text("SELECT note FROM notes ORDER BY id")).scalars().all() == [
            str(n) for n in range(500)
        ]


def test_a_write_that_fails_leaves_those_beside_it(store: SqliteStore) -> None:
    def insert(connection: Connection) -> None:
        connection.execute(text("INSERT INTO notes (note) VALUES ('the same')"))

    def other(connection: Connection) -> str:
        connection.execute(text("INSERT INTO notes (note) VALUES ('another')"))
        return "done"

    async def three() -> list[object]:
        return await asyncio.gather(*map(store.write, (insert, insert, other)), return_exceptions=True)

    first, second, third = asyncio.run(three())

    assert first is None
    assert isinstance(second, StoreError)
    assert third == "done"
    with store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM notes")).scalar() == 2


class Disk:
    """What a power cut leaves of a database: its files as they were when the system last wrote them out."""

    def __init__(self, database: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._database, self._folder, self.syncs = database, folder, 0
        monkeypatch.setattr(writer, "sync_data", self._sync)

    def _sync(self, descriptor: int) -> None:
        assert os.readlink(f"/proc/self/fd/{descriptor}") == f"{self._database}-wal"
        self.syncs += 1
        for suffix in ("", "-wal"):
            shutil.copy(f"{self._database}{suffix}", self._folder / f"{self.syncs}.sqlite{suffix}")

    def notes(self) -> set[str]:
        with contextlib.closing(sqlite3.connect(self._folder / f"{self.syncs}.sqlite")) as left:
            return {row[0] for row in left.execute("SELECT note FROM notes")}


def note(text_: str) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(text("INSERT INTO notes (note) VALUES (:n)"), {"n": text_})


@pytest.mark.parametrize("way", ["write", "write_short"])
def test_what_was_written_survives_a_power_cut(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    disk = Disk(store.path, tmp_path, monkeypatch)

    async def write() -> None:
        for number in range(5):
            await getattr(store, way)(note(str(number)))
            assert disk.notes() == {str(earlier) for earlier in range(number + 1)}

    asyncio.run(write())

    assert disk.syncs == 5


def test_writes_at_the_same_time_share_their_syncs(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(store.path, tmp_path, monkeypatch)

    async def many() -> None:
        await asyncio.gather(*(store.write_short(note(str(number))) for number in range(100)))

    asyncio.run(many())

    assert disk.notes() == {str(number) for number in range(100)}
    assert disk.syncs < 50


def test_a_failed_sync_fails_its_write_and_what_it_left_is_written_before_the_next_one_succeeds(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux reports a failed sync once, and may drop the data: a second one would succeed without it."""

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(writer, "sync_data", fail)
    with pytest.raises(StoreError, match="Input/output error"):
        asyncio.run(store.write_short(note("first")))
    asyncio.run(store.write_short(note("second")))  # by another way than the sync that fails
    shutil.copy(store.path, tmp_path / "left.sqlite")  # without its WAL, which was not written

    with contextlib.closing(sqlite3.connect(tmp_path / "left.sqlite")) as left:
        assert [row[0] for row in left.execute("SELECT note FROM notes ORDER BY id")] == ["first", "second"]


def test_a_transaction_without_an_event_loop_is_fully_synchronous(store: SqliteStore) -> None:
    """As SQLite says itself: 2 is FULL."""
    with store.transaction() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2


def test_a_transaction_on_an_event_loop_waits_for_the_disk_elsewhere(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(store.path, tmp_path, monkeypatch)
    sync, ticks = writer.sync_data, 0

    def slow_sync(descriptor: int) -> None:
        time.sleep(1.0)
        sync(descriptor)

    monkeypatch.setattr(writer, "sync_data", slow_sync)

    async def change() -> None:
        nonlocal ticks
        began = time.monotonic()
        with store.transaction() as connection:
            note("changed")(connection)
        assert time.monotonic() - began < 0.5
        flushing = asyncio.create_task(store.flush())
        while not flushing.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert store.is_flushed

    asyncio.run(change())

    assert disk.notes() == {"changed"}
    assert ticks > 10


def test_a_change_that_does_not_reach_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async def scenario() -> tuple[httpx2.Response, httpx2.Response]:
        async with running(tmp_path) as platform:
            key = platform.keys.create("test")[1]
            server = PlatformServer(platform, {})
            transport = httpx2.ASGITransport(app=server)
            headers = {"authorization": f"Bearer {key}"}
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as http:
                await platform.store.flush()
                with monkeypatch.context() as broken:
                    broken.setattr(writer, "sync_data", fail)
                    refused = await http.post("/stand/v1/keys", json={"name": "lost"})
                return refused, await http.post("/stand/v1/keys", json={"name": "stored"})

    refused, stored = asyncio.run(scenario())

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store")
    assert "Input/output error" in refused.json()["error"]["message"]
    assert stored.status_code == 200


async def test_a_write_waits_for_another_programs_lock_and_the_event_loop_goes_on(store: SqliteStore) -> None:
    Projects(store).create("app")
    ticks = 0

    writing = asyncio.create_task(store.write(lambda connection: connection.execute(text("DELETE FROM notes"))))
    with locked(store.path):
        for _ in range(50):
            await asyncio.sleep(0.01)
            ticks += 1
        assert not writing.done()
    await writing

    assert ticks == 50


def test_after_the_end_writes_are_refused(store: SqliteStore) -> None:
    store.close()

    with pytest.raises(StoreError, match="the platform stops"):
        asyncio.run(store.write(lambda connection: None))
