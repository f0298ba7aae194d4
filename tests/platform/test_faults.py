"""Replicas, fork servers, builds and the supervisor are killed, and replicas stopped, at random points under load: what
was acknowledged is kept.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import stands
from bananastand.platform.replicas.moved_ports import redirection_problem
from bananastand.platform.replicas.orphans import find_orphans
from bananastand.platform.replicas.process import with_descendants
from faults import Load, command_of, verify, wait_for_the_end
from stands import Up

VICTIMS = ("replicas", "supervisor", "both")
ALL_VICTIMS = (*VICTIMS, "replicas, stopped", "fork servers", "builds")
SETTINGS = {"attempts": 4, "liveness_interval": 0.3, "liveness_timeout": 1.5}


def survive(
    data: Path, seed: int, points: int, source: str = "small", victims: tuple[str, ...] = VICTIMS
) -> tuple[int, int]:
    """Do harm at so many points; how many calls were acknowledged, and how many of them failed."""
    chance, executed = random.Random(seed), data.parent / "executed"
    up = Up(data, settings=SETTINGS)
    assert up.deploy(source=source, environment={"EXECUTED": str(executed), "SLOTS": "2"})["state"] == "live"
    up.http.patch("/stand/v1/projects/app", json={"max_replicas": 2, "concurrency": 2}).raise_for_status()
    load = Load(up.port, up.key, seed)
    try:
        for _ in range(points):
            time.sleep(chance.uniform(0.05, 0.6))
            victim = chance.choice(victims)
            if victim in ("replicas", "both"):
                harm(up, chance, signal.SIGKILL)
            elif victim == "replicas, stopped":
                harm(up, chance, signal.SIGSTOP)
            elif victim == "fork servers":
                harm(up, chance, signal.SIGKILL, "--fork-server")
            elif victim == "builds":
                up.http.post("/stand/v1/projects/other/deploy", json={"source": chance.choice(("spawns", source))})
                harm(up, chance, signal.SIGKILL, "time.sleep(600)")
            if victim in ("supervisor", "both"):
                up.kill()
                up = Up(data, port=up.port, settings=SETTINGS)
    finally:
        load.stop()
    database = stands.DATABASE or data
    calls = wait_for_the_end(database, load.acknowledged)
    assert up.stop() == 0, up.log
    verify(database, executed, load.acknowledged, SETTINGS["attempts"])
    return len(calls), sum(state == "failed" for state in calls.values())


def harm(up: Up, chance: random.Random, how: signal.Signals, named: str = "") -> None:
    """Send a signal to one or two of the processes that the platform has started, with that word in their command."""
    found = [pid for pid in sorted(find_orphans(up_id(up))) if named in command_of(pid)]
    for pid in chance.sample(found, k=min(len(found), chance.choice((1, 2)))):
        with suppress(ProcessLookupError):
            os.kill(pid, how)


def up_id(up: Up) -> str:
    return str(json.loads((up.data / "identity.json").read_text())["id"])


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_acknowledged_survives_a_few_kills(tmp_path: Path, seed: int) -> None:
    acknowledged, failed = survive(tmp_path / "data", seed, 3)

    assert acknowledged > 5
    assert failed == 0


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc")
def test_what_a_build_had_started_ends_with_the_supervisor_and_the_build_begins_again(tmp_path: Path) -> None:
    def pids(up: Up) -> list[int]:
        lines = [json.loads(line)["line"] for line in up.http.get(f"/stand/v1/builds/{build}/log").text.splitlines()]
        return [int(line.removeprefix("pid ")) for line in lines if line.startswith("pid ")]

    up = Up(tmp_path / "data")
    build = up.http.post("/stand/v1/projects/app/deploy", json={"source": "spawns"}).json()["build_id"]
    wait_until(lambda: len(pids(up)) == 1)
    first = pids(up)[0]
    up.kill()
    with Up(tmp_path / "data") as up:
        wait_until(lambda: len(pids(up)) == 2)
        assert not alive(first)
        cancelled = up.http.post(f"/stand/v1/builds/{build}/cancel").json()
        assert cancelled["state"] == "cancelled"
        assert not alive(pids(up)[1])


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc")
@pytest.mark.skipif(redirection_problem() is not None, reason="without moved ports, a daemon has no parent here")
def test_a_killed_platform_leaves_nothing_that_it_has_started(tmp_path: Path) -> None:
    mark, up = uuid.uuid4().hex, Up(tmp_path / "data")
    assert up.deploy("worker", "potassium")["state"] == "live"
    up.http.patch("/stand/v1/projects/worker", json={"min_replicas": 2, "max_replicas": 2}).raise_for_status()
    assert up.deploy("server", "escapes", environment={"MARK": mark})["state"] == "live"
    up.http.post("/stand/v1/projects/other/deploy", json={"source": "spawns"}).raise_for_status()

    def started(word: str = "") -> set[int]:
        """All that the platform has started, or those with a word in their command, and their descendants."""
        roots = [pid for pid in find_orphans(up_id(up)) if word in command_of(pid)]
        return {pid for root in roots for pid in with_descendants(root)}

    def daemons() -> list[int]:
        return [pid for pid in started() if mark in command_of(pid)]

    wait_until(lambda: daemons() and len(started("--control")) >= 3 and len(started("--fork-server")) >= 2)
    wait_until(lambda: started("time.sleep(600)"))
    left = started()

    up.kill()

    wait_until(lambda: not any(map(alive, left)), 10)
    assert not any(map(alive, started()))


def alive(pid: int) -> bool:
    """Whether it runs; one that nobody has asked about since its end is still listed."""
    with suppress(FileNotFoundError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def wait_until(holds: Callable[[], object], seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc")
@pytest.mark.parametrize("source", ["small", "potassium"])
def test_what_was_acknowledged_survives_harm_of_every_kind(tmp_path: Path, source: str) -> None:
    acknowledged, failed = survive(tmp_path / "data", 3, 4, source, ALL_VICTIMS[3:])

    assert acknowledged > 10
    assert failed == 0


@pytest.mark.slow
@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(("source", "seed"), [("small", 7), ("potassium", 8)])
def test_what_was_acknowledged_survives_sixty_points_of_harm(tmp_path: Path, source: str, seed: int) -> None:
    acknowledged, failed = survive(tmp_path / "data", seed, 60, source, ALL_VICTIMS)
    runs = [line.split()[0] for line in (tmp_path / "executed").read_text().splitlines()]
    twice = len(runs) - len(set(runs))
    logging.getLogger(__name__).info(
        "%s: %d acknowledged, %d failed, %d run again", source, acknowledged, failed, twice
    )

    assert acknowledged > 500
    assert failed <= acknowledged // 50
