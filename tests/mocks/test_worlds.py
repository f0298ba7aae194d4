"""Worlds: clock, ids, import and export, the state file, limits, and that no world sees another."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bananastand_mocks.kernel.clock import EPOCH, Clock
from bananastand_mocks.kernel.errors import StateError
from bananastand_mocks.kernel.faults import Fault, Faults
from bananastand_mocks.kernel.ids import Ids
from bananastand_mocks.kernel.limits import RateLimits
from bananastand_mocks.kernel.provider import Credential
from bananastand_mocks.kernel.state_file import StateFile
from bananastand_mocks.kernel.worlds import Worlds
from tinymock import KEY, Zoo, app, ask


def test_a_virtual_clock_runs_everything_due_in_order_and_sees_its_time() -> None:
    seen: list[tuple[str, float]] = []

    def deliver(event: str, details: dict[str, Any]) -> None:
        seen.append((event, clock.now() - EPOCH))
        if event == "first":
            clock.after(1, "child")

    clock = Clock(deliver, virtual=True)
    clock.after(30, "last")
    clock.after(10, "first")
    clock.after(10, "second")
    clock.after(31, "never")

    assert clock.advance(30) == 4
    assert seen == [("first", 10), ("second", 10), ("child", 11), ("last", 30)]
    assert [row["event"] for row in clock.pending] == ["never"]
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def test_moves_of_one_clock_from_two_threads_add_up() -> None:
    begun = threading.Event()

    def block(event: str, details: dict[str, Any]) -> None:
        begun.set()
        time.sleep(0.2)

    clock = Clock(block, virtual=True)
    clock.after(0.5, "slow")
    first = threading.Thread(target=clock.advance, args=(10,))
    first.start()
    begun.wait(10)
    clock.advance(5)
    first.join()

    assert clock.now() == EPOCH + 15


def test_a_real_clock_can_run_faster() -> None:
    clock = Clock(lambda event, details: None, virtual=False, speed=1000.0)
    first = clock.now()
    while clock.now() - first < 10:
        pass
    clock.advance(3600)

    assert 3610 <= clock.now() - first < 4000


def test_the_same_seed_gives_the_same_ids() -> None:
    one, same, other = (Ids(Random(seed)) for seed in (1, 1, 2))

    assert [one.uuid(), one.hex(5), one.letters(3)] == [same.uuid(), same.hex(5), same.letters(3)]
    assert Ids(Random(1)).uuid() != other.uuid()
    assert len(one.hex(32)) == 32


def test_a_world_is_exported_and_imported_as_json() -> None:
    zoo = app()
    world = zoo.worlds.default
    asyncio.run(ask(zoo, "POST", "/animals", {"name": "Willi"}))
    world.blobs["photo"] = b"\x00\xff"
    world.limits.set("zoo", calls=5, seconds=10)
    world.faults.next_calls(2, "latency", seconds=1)
    world.tasks.finish_after_polls(3)
    exported = json.loads(json.dumps(world.dump()))
    zoo.worlds.reset(world)
    assert len(world.table("zoo.animals")) == 1

    zoo.worlds.restore(world, exported)

    assert world.dump() == exported
    assert world.blobs == {"photo": b"\x00\xff"}
    world.clock.advance(60)
    assert sum("grown" in row for row in world.table("zoo.animals").values()) == 1


@pytest.mark.parametrize("damage", [{"version": 0}, {"clock": {}}, {"random": [3]}, {"blobs": 1}])
def test_an_import_that_is_no_world_is_refused_and_changes_nothing(damage: dict[str, Any]) -> None:
    zoo = app()
    before = zoo.worlds.default.dump()

    with pytest.raises(StateError):
        zoo.worlds.restore(zoo.worlds.default, {**before, **damage})

    assert zoo.worlds.default.dump() == before
    assert asyncio.run(ask(zoo, "GET", "/animals")).status == 200


def test_a_world_cannot_take_the_credentials_of_another() -> None:
    zoo = app()
    other = zoo.worlds.create()

    with pytest.raises(StateError, match="credentials.zoo: the world default holds one of them"):
        zoo.worlds.restore(other, zoo.worlds.default.dump())


def test_a_world_that_is_removed_leaves_no_key_behind() -> None:
    zoo = app()
    world = zoo.worlds.create("mine")
    key = world.credentials["zoo"][0]
    with pytest.raises(ValueError, match="mine"):
        zoo.worlds.create("mine")

    zoo.worlds.remove(world)

    assert asyncio.run(ask(zoo, "GET", "/animals", key=key)).status == 401
    with pytest.raises(ValueError, match="stays"):
        zoo.worlds.remove(zoo.worlds.default)


def test_a_state_file_brings_back_what_was_answered(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    zoo, file = app(), StateFile(path)
    assert file.restore(zoo.worlds) == 0
    other = zoo.worlds.create("other")
    animal = asyncio.run(ask(zoo, "POST", "/animals", {"name": "Willi"})).json()
    asyncio.run(ask(zoo, "POST", "/animals", {"name": "Berta"}, key=other.credentials["zoo"][0]))
    file.close()

    again, reopened = app(), StateFile(path)
    assert reopened.restore(again.worlds) == 2
    found = asyncio.run(ask(again, "GET", f"/animals/{animal['id']}"))
    theirs = asyncio.run(ask(again, "GET", "/animals", key=other.credentials["zoo"][0]))

    assert found.json()["name"] == "Willi"
    assert "Berta" in theirs.content.decode()
    reopened.close()


def test_a_state_file_writes_each_blob_once_and_drops_what_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    zoo, file = app(), StateFile(path)
    file.restore(zoo.worlds)
    world = zoo.worlds.default
    world.blobs |= {"stays": b"\x00" * 1000, "goes": b"\x01", "changes": b"\x02"}
    file.keep(world)
    with sqlite3.connect(path) as other:
        other.execute("UPDATE blobs SET blob = 'untouched' WHERE name = 'stays'")
    other.close()
    del world.blobs["goes"]
    world.blobs["changes"] = b"\x03"
    file.keep(world)
    file.close()

    again, reopened = app(), StateFile(path)
    reopened.restore(again.worlds)

    assert again.worlds.default.blobs == {"stays": "untouched", "changes": b"\x03"}
    reopened.forget(again.worlds.default)
    assert reopened.restore(app().worlds) == 0
    reopened.close()


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, and longer than a header of sixteen bytes")

    with pytest.raises(StateError, match=r"notes.txt is not a state file"):
        StateFile(tmp_path / "notes.txt")
    with pytest.raises(StateError, match="unable to open"):
        StateFile(tmp_path / "missing" / "state.db")


def test_faults_strike_the_calls_they_were_set_for() -> None:
    faults = Faults(Random(1))
    faults.add(Fault("status", "read", first=2, last=3))
    faults.add(Fault("latency", probability=0.5))

    struck = [[row.kind for row in faults.strike("read")] for _ in range(4)]

    assert ["status" in kinds for kinds in struck] == [False, True, True, False]
    assert 0 < sum("latency" in kinds for kinds in struck) < 4
    assert faults.dump()[0] == {**faults.dump()[0], "seen": 4, "struck": 2}
    with pytest.raises(ValueError, match="counted from 1"):
        Fault("status", first=0)
    with pytest.raises(ValueError, match="400 to 599"):
        Fault("status", status=200)


def test_finished_faults_are_dropped() -> None:
    faults = Faults(Random(1))
    faults.next_calls(10_000, "latency", "read")
    for _ in range(500):
        faults.next_calls(1, "status", "read")
        faults.strike("read")

    assert len(faults) <= 101
    assert [row["struck"] for row in faults.dump() if row["kind"] == "latency"] == [500]


def test_a_limit_counts_each_subject_apart() -> None:
    limits = RateLimits()
    limits.set("api", calls=1, seconds=10)

    assert limits.take("other", "a", 0.0) is None
    assert [limits.take("api", who, now).allowed for who, now in [("a", 0), ("a", 9.9), ("b", 9.9), ("a", 10)]] == [
        True,
        False,
        True,
        True,
    ]  # fmt: skip


def test_a_world_is_found_by_its_key_of_the_right_kind() -> None:
    zoo = app()

    assert zoo.worlds.named("nobody") is None
    assert zoo.worlds.holding("zoo", KEY) is zoo.worlds.default
    assert zoo.worlds.holding("banana", KEY) is None


def test_a_second_tenant_that_is_well_known_has_a_world_of_its_own() -> None:
    class TwoZoos(Zoo):
        credentials = (Credential("zoo", KEY, lambda ids: f"zoo-{ids.letters(12)}", other="zoo-other"),)

    worlds = Worlds([TwoZoos()], virtual=True, seed=1)
    other = worlds.holding("zoo", "zoo-other")

    assert other is worlds.named("other")
    assert other is not worlds.default
    assert worlds.create().credentials["zoo"][0] not in (KEY, "zoo-other")
    assert Worlds([TwoZoos()], keys={"zoo": "mine"}).holding("zoo", "zoo-other") is None
