"""Keys, projects, builds and calls in both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select, text

from bananastand.platform.errors import Conflict, NotFound, Refused
from bananastand.platform.launch import Launch
from bananastand.platform.replicas.client import ReplicaRequest
from bananastand.platform.settings import Settings
from bananastand.platform.store import tables
from bananastand.platform.store.blobs import Blobs
from bananastand.platform.store.builds import Builds
from bananastand.platform.store.calls import CallOutcome, Calls
from bananastand.platform.store.keys import Keys, api_token
from bananastand.platform.store.opening import close_store
from bananastand.platform.store.opening import open_store as open_database
from bananastand.platform.store.projects import Projects
from bananastand.platform.store.store import Store

Opener = Callable[[], Store]
ID = "7a3f0f4e-6c62-4d0c-9e0b-6f3c6a4c2a11"


@pytest.fixture
def open_store(tmp_path: Path, database: str | None) -> Iterator[Opener]:
    """Opens the test's database again, closed before."""
    settings, opened = Settings(tmp_path, database), list[Store]()

    def again() -> Store:
        while opened:
            close_store(settings, opened.pop())
        opened.append(open_database(settings, ID))
        return opened[0]

    yield again
    while opened:
        close_store(settings, opened.pop())


def test_ids_stay_the_same(open_store: Opener) -> None:
    store = open_store()
    ids = store.id, store.team
    again = open_store()
    assert (again.id, again.team) == ids


def test_a_key_is_stored_as_a_digest_and_opens_in_both_forms_until_it_is_revoked(open_store: Opener) -> None:
    keys = Keys(open_store())
    key, secret = keys.create("laptop")

    store = open_store()
    with store.reading() as connection:
        assert secret not in str(connection.execute(select(tables.keys)).all())
    keys = Keys(store)
    assert keys.find(secret) == keys.find(api_token(secret)) == key.id
    assert api_token(secret) == "at_r" + secret.replace("-", "")
    assert keys.find("11111111-1111-1111-1111-111111111111") is None
    keys.revoke(key.id)
    assert keys.find(secret) is None
    assert [key.revoked is not None for key in keys.list()] == [True]
    with pytest.raises(NotFound):
        keys.revoke(key.id)
    with pytest.raises(Refused):
        keys.create("a\nb")


def test_a_project_is_found_by_name_id_and_model_key_also_after_a_restart(open_store: Opener) -> None:
    project = Projects(open_store()).create("my-app", max_replicas=2)
    projects = Projects(open_store())

    assert [projects.find(name) for name in ("my-app", project.id, project.model_key)] == [project] * 3
    assert (project.min_replicas, project.max_replicas, project.inference_timeout, project.idle_timeout) == (
        0,
        2,
        300,
        30,
    )
    with pytest.raises(Conflict):
        projects.create("my-app")
    for name in ("", "My App", "-a", "-a_", "a_", "a" * 64, "../x"):
        with pytest.raises(Refused):
            projects.create(name)


def test_a_wrong_setting_is_named(open_store: Opener) -> None:
    projects = Projects(open_store())
    project = projects.create("app")

    assert projects.change(project, {"min_replicas": 1, "idle_timeout": 5}).idle_timeout == 5
    for changes, message in (
        ({"min_replicas": 4}, "min_replicas: 4 is more than max_replicas, 3"),
        ({"max_replicas": "2"}, "max_replicas: must be a whole number from 0 to 10000"),
        ({"idle_timeout": True}, "idle_timeout: must be a whole number from 0 to 604800"),
        ({"host": "flask"}, "host: must be one of bananastand, potassium"),
        ({"gpus": 1.5}, "gpus: must be a whole number from 0 to 64, a share of one GPU from 0.01 such as 0.5,"),
        ({"gpus": float("nan")}, "gpus: must be"),
        ({"gpus": -float("inf")}, "gpus: must be"),
        ({"gpus": -3}, "gpus: must be"),
        ({"gpus": 1e-300}, "gpus: must be"),
        ({"gpu_memory_gb": 0}, "gpu_memory_gb: must be a number of GiB"),
        ({"memory_mb": 1}, "memory_mb: must be a whole number of MiB from 64 to"),
        ({"memory_mb": float("inf")}, "memory_mb: must be"),
        ({"labels": "gpu"}, "labels: must be up to 16 labels of different names"),
        ({"labels": "gpu=a,gpu=b"}, "labels: must be"),
        ({"labels": {"gpu": "a"}}, "labels: must be"),
        ({"gpu": 1}, "gpu: there is no such setting; there are"),
    ):
        with pytest.raises(Refused, match=message):
            projects.change(project, changes)


def test_build_moves_only_through_its_states_in_order(open_store: Opener) -> None:
    store = open_store()
    builds, project = Builds(store), Projects(store).create("app")
    build = builds.create(project, ".", secrets={"TOKEN": "secret"})
    seen = list[str]()
    builds.on_change.append(lambda changed: seen.append(changed.state))

    with pytest.raises(Conflict, match="the build is queued and cannot become live"):
        builds.move(build, "live")
    for state in ("building", "deploying", "live"):
        builds.move(build, state)
    with pytest.raises(Conflict):
        builds.move(build, "failed")

    assert seen == ["building", "deploying", "live"]
    assert "secret" not in repr(builds.get(build.id))
    with pytest.raises(NotFound):
        builds.get("nothing")


def test_deployment_stores_its_launch_and_secrets(open_store: Opener) -> None:
    store = open_store()
    builds, project = Builds(store), Projects(store).create("app")
    build = builds.create(project, ".", secrets={"TOKEN": "secret"})
    launch = Launch("process", ("python", "app.py"), "/srv", {"A": "b"}, python="/usr/bin/python3", port=8000)

    builds.add_deployment(build, launch)

    stored = Builds(open_store()).deployment(build.id)
    assert stored is not None
    assert (stored.launch, stored.secrets) == (launch, {"TOKEN": "secret"})


async def test_a_call_is_written_leased_and_ended_once_and_counted_once(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    projects, calls = Projects(store), Calls(store, Blobs(tmp_path / "bodies"))
    project = projects.create("app")
    await store.flush()
    request = ReplicaRequest("POST", "/", (("x-a", "ä"),), b"\0body")
    new = calls.new(project, request, run_id="run", digest="a:b", cold=True)
    call = await calls.add(new, request.body)

    assert await calls.find("run") == await calls.find(call.id) == await calls.made_before(project, "a:b") == call
    assert (await calls.body(call), call.headers) == (b"\0body", request.headers)
    assert (await calls.other_made_before(project, "a:"), await calls.other_made_before(project, "b:")) == (True, False)
    leased = await calls.lease(call, "replica", 30.0)
    calls.requeue(leased, counted=False)
    assert [(row.state, row.attempts) for row in await calls.unfinished()] == [("queued", 0)]
    await calls.finish(leased, CallOutcome(200, (), b"\xff\0"), project.model_key)
    ended = await calls.finish(leased, CallOutcome(500, (), b"late", "late"), project.model_key)

    recorded = await calls.find(call.id)
    assert recorded is not None
    assert (recorded.state, recorded.status, recorded.error) == ("succeeded", 200, None)
    assert (await calls.answer(ended), await calls.unfinished()) == (b"\xff\0", [])
    assert [row[2:5] for row in calls.usage()] == [(1, 1, 0)]
    stored = await store.read(lambda connection: connection.execute(select(tables.usage)).all())
    assert [tuple(row) for row in stored] == calls.usage()
    await store.finish()


async def test_a_removed_project_takes_its_calls_along(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    projects, calls = Projects(store), Calls(store, Blobs(tmp_path / "bodies"))
    project = projects.create("app")
    call = calls.new(project, ReplicaRequest("POST", "/", (), b""), run_id=None, digest=None, cold=True)
    await calls.add(call, b"")
    projects.remove(project)
    await store.flush()
    assert await calls.ids() == frozenset()
    await store.finish()


async def test_a_failed_transaction_changes_nothing(open_store: Opener) -> None:
    store = open_store()
    project = Projects(store).create("app")
    with suppress(ZeroDivisionError), store.transaction() as connection:
        connection.execute(tables.projects.delete())
        raise ZeroDivisionError
    await store.flush()
    await store.finish()
    assert [row.id for row in Projects(open_store()).list()] == [project.id]


async def test_a_write_that_fails_leaves_those_beside_it(open_store: Opener) -> None:
    store = open_store()

    def add(name: str, value: str) -> object:
        return lambda connection: connection.execute(tables.facts.insert().values(name=name, value=value))

    await store.write(add("a", "1"))
    results = await asyncio.gather(*(store.write(add(name, "2")) for name in "bac"), return_exceptions=True)
    assert [isinstance(result, Exception) for result in results] == [False, True, False]
    names = await store.read(
        lambda connection: connection.scalars(text("SELECT name FROM facts WHERE value = '2'")).all()
    )
    assert sorted(names) == ["b", "c"]
    await store.finish()
