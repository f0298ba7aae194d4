"""The state file: every change that was answered survives a restart."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bananastand_mocks.kernel.clock import Clock
from bananastand_mocks.kernel.errors import StateError
from bananastand_mocks.kernel.state_file import StateFile
from bananastand_mocks.server import Server
from tinymock import Response, app, ask

TOKEN = "at_r0123456789abcdef0123456789abcdef"
KEY = {"x-banana-api-key": "11111111-1111-1111-1111-111111111111"}
LOCAL = {"host": "127.0.0.1:8750"}


def call(server: Any, method: str, target: str, body: Any = None, **headers: str) -> Response:
    return asyncio.run(ask(server, method, target, body, key=None, headers={**LOCAL, **headers}))


def restarted(path: Path, *names: str, **options: Any) -> Server:
    """As after a kill: what the first server did not write is gone."""
    return Server(names, state=path, virtual=True, **options) if names else Server(state=path, virtual=True, **options)


def test_a_change_by_a_get_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    before = restarted(path)
    call(before, "GET", f"/lowcodeapi/falai/v1/models/fal-ai/flux/dev?api_token={TOKEN}")
    failed = call(before, "GET", "/fal/v1/compute/instances/none", authorization="Key fal-bananastand").json()

    after = restarted(path)
    usage = call(after, "GET", f"/lowcodeapi/falai/v1/usage?api_token={TOKEN}").json()["result"]["summary"]
    again = call(after, "GET", "/fal/v1/compute/instances/none", authorization="Key fal-bananastand").json()

    assert [(row["endpoint_id"], row["requests"]) for row in usage] == [("fal-ai/flux/dev", 1)]
    assert again["error"]["request_id"] != failed["error"]["request_id"], "no id is given twice"


def test_a_worlds_kind_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    call(restarted(path, kind="documents"), "GET", f"/lowcodeapi/bananadev/v1/models?api_token={TOKEN}")
    after = restarted(path)
    call(after, "POST", "/_stand/worlds/default/reset", {})

    assert call(after, "GET", f"/lowcodeapi/bananadev/v1/models/VALUE?api_token={TOKEN}").status == 200


def test_a_file_of_one_provider_serves_the_others_too(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    only = restarted(path, "bananadev")
    call(only, "POST", f"/lowcodeapi/bananadev/v1/deploy?api_token={TOKEN}", {"modelKey": "kept", "source": "x"})

    after = restarted(path)
    assert call(after, "GET", f"/lowcodeapi/bananadev/v1/models/kept?api_token={TOKEN}").status == 200
    assert call(after, "GET", f"/lowcodeapi/falai/v1/usage?api_token={TOKEN}").status == 200
    assert call(after, "GET", "/fal/v1/compute/instances", authorization="Key fal-bananastand").status == 200
    assert call(after, "GET", "/banana/v1/projects", **KEY).status == 200


def test_archives_are_written_once_and_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    before = restarted(path, "banana-native")
    project = call(before, "GET", "/banana/v1/projects", **KEY).json()["results"][0]["id"]
    upload = call(before, "POST", f"/banana/v1/projects/{project}/upload", {}, **KEY).json()
    call(before, "PUT", f"/banana/upload/{upload['key']}", b"an archive \x00 of bytes")
    changes = before.state._connection.total_changes if before.state else 0
    call(before, "GET", "/banana/v1/projects", **KEY)
    unchanged = before.state._connection.total_changes if before.state else 0
    call(before, "POST", "/banana/v1/projects", {"name": "more"}, **KEY)

    after = restarted(path, "banana-native")
    build = call(after, "POST", f"/banana/v1/projects/{project}/build", {"key": upload["key"]}, **KEY)
    assert build.status == 200
    assert list(after.worlds.default.blobs.values()) == [b"an archive \x00 of bytes"]
    assert unchanged == changes, "what did not change is not written"
    assert before.state is not None
    assert before.state._connection.total_changes == changes + 1, "one row, and no blob again"


def test_a_deleted_world_is_deleted_from_the_file_with_its_blobs(tmp_path: Path) -> None:
    zoo, file = app(), StateFile(tmp_path / "state.db")
    file.restore(zoo.worlds)
    world = zoo.worlds.create("mine")
    world.blobs["photo"] = b"x"
    file.keep(world)
    zoo.worlds.remove(world)
    file.close()

    again, reopened = app(), StateFile(tmp_path / "state.db")
    assert reopened.restore(again.worlds) == 0
    mine = again.worlds.create("mine")
    reopened.keep(mine)
    assert mine.blobs == {}


@pytest.mark.parametrize("state", ["{", "[]", "{}", '{"version": 1}', '{"version": 7}', "NaN"])
def test_a_damaged_file_is_refused_with_its_name(tmp_path: Path, state: str) -> None:
    path = tmp_path / "state.db"
    StateFile(path).close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("INSERT INTO worlds VALUES ('default', ?)", (state,))
    connection.close()

    with pytest.raises(StateError, match="state.db"):
        restarted(path)


def test_a_reset_revokes_keys_that_were_added(tmp_path: Path) -> None:
    zoo = app()
    world = zoo.worlds.default
    world.admit("zoo", "added-key")
    assert asyncio.run(ask(zoo, "GET", "/animals", key="added-key")).status == 200

    zoo.worlds.reset(world)

    assert asyncio.run(ask(zoo, "GET", "/animals", key="added-key")).status == 401
    assert asyncio.run(ask(zoo, "GET", "/animals")).status == 200
    exported = json.loads(json.dumps(world.dump()))
    zoo.worlds.restore(world, exported)
    assert world.credentials == world.issued == {"zoo": ["zoo-key"]}


def test_an_event_runs_once_when_many_threads_look() -> None:
    seen: list[int] = []
    clock = Clock(lambda event, details: seen.append(details["n"]), virtual=True)
    for n in range(20_000):
        clock.after(n / 1000, "tick", n=n)
    stop = threading.Event()

    def look_often() -> None:
        while not stop.is_set():
            clock.run_due()
            time.sleep(0.0001)

    threads = [threading.Thread(target=look_often) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        clock.advance(0.1)
    stop.set()
    for thread in threads:
        thread.join()

    assert seen == list(range(20_000))
