"""The database locked by another program, and written on a thread: what goes on, and what waits."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Connection, text

from bananastand.platform.errors import StoreError
from bananastand.platform.store.database import Store
from bananastand.platform.store.projects import Projects
from servers import free_port
from stands import Up

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
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "stand.sqlite")
    with opened.transaction() as connection:
        connection.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT UNIQUE)"))
    yield opened
    opened.close()


async def test_writes_are_made_in_the_order_in_which_they_were_asked_for(store: Store) -> None:
    def insert(note: str) -> object:
        return lambda connection: connection.execute(text("INSERT INTO notes (note) VALUES (:n)"), {"n": note})

    await asyncio.gather(*(store.write(insert(str(n))) for n in range(500)))  # type: ignore[arg-type]
    with store.reading() as connection:
        assert connection.execute(text("SELECT note FROM notes ORDER BY id")).scalars().all() == [
            str(n) for n in range(500)
        ]


def test_a_write_that_fails_leaves_those_beside_it(store: Store) -> None:
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


def test_every_write_is_fully_synchronous(store: Store) -> None:
    """As SQLite says itself: 2 is FULL."""
    seen = asyncio.run(store.write(lambda connection: connection.execute(text("PRAGMA synchronous")).scalar()))
    with store.transaction() as connection:
        rarely = connection.execute(text("PRAGMA synchronous")).scalar()

    assert (seen, rarely) == (2, 2)


async def test_a_write_waits_for_another_programs_lock_and_the_event_loop_goes_on(store: Store) -> None:
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


def test_after_the_end_writes_are_refused(store: Store) -> None:
    store.close()

    with pytest.raises(StoreError, match="the platform stops"):
        asyncio.run(store.write(lambda connection: None))
