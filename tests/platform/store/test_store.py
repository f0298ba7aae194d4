"""The database of the local Banana: its version, its keys, its projects and builds."""

from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from bananastand.platform.errors import Conflict, StoreError
from bananastand.platform.launch import Launch
from bananastand.platform.platform import Platform
from bananastand.platform.replicas.client import ReplicaRequest
from bananastand.platform.scheduling.pending_call import PendingCall
from bananastand.platform.store.builds import Builds
from bananastand.platform.store.database import STEPS, SqliteStore
from bananastand.platform.store.keys import write_client_file
from bananastand.platform.store.projects import Projects
from stands import deployed, running


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "data" / "stand.sqlite")


def test_a_new_database_is_private_and_keeps_its_ids(store: SqliteStore) -> None:
    store.close()
    again = SqliteStore(store.path)

    assert (again.id, again.team) == (store.id, store.team)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_older_database_is_brought_up_to_date_with_a_copy_left_beside_it(store: SqliteStore) -> None:
    project = Projects(store).create("app")
    store.close()

    def second(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE projects ADD COLUMN note TEXT DEFAULT 'new'"))

    newer = SqliteStore(store.path, (*STEPS, second))

    with newer.reading() as connection:
        assert connection.execute(text("SELECT id, note FROM projects")).one() == (project.id, "new")
    with sqlite3.connect(store.path.with_name(f"stand.sqlite.version-{len(STEPS)}")) as connection:
        assert connection.execute("SELECT id FROM projects").fetchone() == (project.id,)


def test_a_database_of_the_first_version_is_brought_up_to_date(store: SqliteStore) -> None:
    with store.transaction() as connection:
        connection.execute(text("ALTER TABLE deployments DROP COLUMN takes"))
        for column in ("gpus", "gpu_memory_gb", "memory_mb", "labels"):
            connection.execute(text(f"ALTER TABLE projects DROP COLUMN {column}"))
        connection.execute(text("PRAGMA user_version = 1"))
    store.close()

    newer = SqliteStore(store.path)
    builds, projects = Builds(newer), Projects(newer)
    project = projects.create("app")
    build = builds.create(project, "small")
    deployment = builds.add_deployment(build, Launch("process", ("python", "app.py"), "/srv"))
    project = projects.point(project, deployment.id)
    assert builds.concurrency_of(project) == 1
    builds.record_concurrency(deployment, 64)
    project = projects.change(project, {"gpus": 0.5, "labels": "gpu=a100"})
    assert Projects(newer).named("app") == project
    newer.close()

    assert Builds(SqliteStore(store.path)).concurrency_of(project) == 64


async def test_calls_of_an_older_data_directory_keep_their_answers_and_are_taken_up(tmp_path: Path) -> None:
    async with running(tmp_path) as platform:
        project = await deployed(platform)
        ended = await platform.submit(project, "/", b'{"n": 1}', request_id="before")
        await ended.outcome(20)
        request = ReplicaRequest("POST", "/", (), b'{"n": 2}')
        call = platform.calls.new(project, request, run_id="late", digest=None, cold=False)
        queued = await platform.calls.add(call, b'{"n": 2}')
    _make_old(tmp_path / "stand.sqlite")
    async with running(tmp_path) as platform:
        again = await platform.submit(project, "/", b'{"n": 1}', request_id="before")
        first, second = await again.outcome(1), await (await _found(platform, queued.id)).outcome(20)
        assert first is not None
        assert second is not None
        assert again.call.id == ended.call.id
        assert first.headers == (("content-type", "application/json"),)
        assert json.loads(second.body)["got"] == {"n": 2}
    assert (tmp_path / "stand.sqlite.version-3").exists()


async def _found(platform: Platform, id: str) -> PendingCall:
    pending = await platform.dispatcher.find(id)
    assert pending is not None
    return pending


def _make_old(path: Path) -> None:
    """Bring a database back to the form of its third version, in which calls had a content type alone."""
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE calls ADD COLUMN content_type TEXT")
        connection.execute("UPDATE calls SET content_type = 'application/json' WHERE status IS NOT NULL")
        for column in ("method", "headers", "answer_headers"):
            connection.execute(f"ALTER TABLE calls DROP COLUMN {column}")
        connection.execute("PRAGMA user_version = 3")
    connection.close()


def test_a_build_of_a_database_without_as_of_is_read_and_a_new_one_keeps_its_day(store: SqliteStore) -> None:
    project = Projects(store).create("app")
    old = Builds(store).create(project, "small")
    with store.transaction() as connection:
        connection.execute(text("ALTER TABLE builds DROP COLUMN as_of"))
        connection.execute(text("PRAGMA user_version = 2"))
    store.close()

    newer = Builds(SqliteStore(store.path))
    assert newer.get(old.id) == old
    assert newer.get(newer.create(project, "small", as_of="2023-03-01").id).as_of == "2023-03-01"


def test_a_step_that_fails_leaves_the_database_as_it_was(store: SqliteStore) -> None:
    store.close()

    def second(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE half (a)"))
        connection.execute(text("INSERT INTO missing VALUES (1)"))

    with pytest.raises(StoreError, match="missing"):
        SqliteStore(store.path, (*STEPS, second))
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)


def test_a_newer_database_and_a_file_that_is_none_are_refused(store: SqliteStore, tmp_path: Path) -> None:
    with store.transaction() as connection:
        connection.execute(text("PRAGMA user_version = 9"))
    store.close()
    (tmp_path / "other").write_bytes(b"no database at all" * 100)

    with pytest.raises(Conflict, match=f"is of version 9 and this program knows {len(STEPS)}"):
        SqliteStore(store.path)
    with pytest.raises(StoreError, match="file is not a database"):
        SqliteStore(tmp_path / "other")


def test_the_clients_file_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "client.toml").write_text("old")
    (tmp_path / "client.toml").chmod(0o644)

    path = write_client_file(tmp_path, "http://127.0.0.1:8750", "secret")

    assert path.read_text() == 'url = "http://127.0.0.1:8750"\nkey = "secret"\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
