"""Harm to every part of a cluster under load, and what it did to the calls: the run behind `test_chaos`."""

from __future__ import annotations

import itertools
import json
import logging
import random
import signal
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from faults import Load, command_of, query, send, until, verify, wait_for_the_end
from joined_cluster import JoinedCluster, JoinedNode, wait_for_a_raylet, with_children
from servers import free_port
from stands import Up

__all__ = ["KINDS", "Report", "survive", "write"]

log = logging.getLogger(__name__)

KINDS = ("raylet", "node", "keeper", "replica", "frozen node", "head", "bridge", "platform")
ATTEMPTS = 3  # the platform's default
FLOW_TIMEOUT = 180.0  # seconds until all must be as before
NOTICE = 4.0  # seconds in which a node notices that it counts as lost
TWO = 0.2  # how often a second harm comes before the first is over
RAYLET, KEEPER, BRIDGE = "/raylet/raylet", "ray::Keeper", "bananastand.cluster.bridge_process"
OFF = 3.0  # seconds for which a node without power stays so
FROZEN = (2.0, 12.0)  # seconds: one that is not noticed as a loss, and one that is

COUNT_ENDS = {
    "sqlite": """
        CREATE TABLE IF NOT EXISTS ends (call TEXT);
        CREATE TRIGGER IF NOT EXISTS count_end AFTER UPDATE ON calls WHEN NEW.finished IS NOT NULL
        BEGIN INSERT INTO ends VALUES (NEW.id); END;
    """,
    "postgresql": """
        CREATE TABLE IF NOT EXISTS ends (call text);
        CREATE OR REPLACE FUNCTION count_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.finished IS NOT NULL THEN INSERT INTO ends VALUES (NEW.id); END IF; RETURN NEW; END $$;
        CREATE OR REPLACE TRIGGER count_end AFTER UPDATE ON calls FOR EACH ROW EXECUTE FUNCTION count_end();
    """,
}


@dataclass
class Report:
    """What became of the calls.

    Attributes:
        points: How often each kind of harm was done.
        gaps: The longest time without an end of a call, from the harm until all is as before, in seconds, by its kind.
        twice: Calls whose handler began more than once.
        late: Handlers that began after the end of their call, on a node that was frozen until then.
    """

    points: Counter[str] = field(default_factory=Counter[str])
    gaps: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    acknowledged: int = 0
    lost: int = 0
    wrong: int = 0
    failed: int = 0
    twice: int = 0
    late: int = 0
    two_ends: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        gaps = {
            kind: {"times": len(waits), "p50_s": round(statistics.median(waits), 2), "max_s": round(max(waits), 2)}
            for kind, waits in sorted(self.gaps.items())
        }
        return {"points": self.points.total(), "seconds": round(self.seconds), "acknowledged": self.acknowledged,
                "lost": self.lost, "wrong": self.wrong, "two_ends": self.two_ends, "failed": self.failed,
                "handlers_run_twice": self.twice, "handlers_begun_after_the_end": self.late,
                "longest_time_without_an_end": gaps}  # fmt: skip


class _Run:
    """One run: a platform, its cluster, and callers."""

    def __init__(self, folder: Path, seed: int, database: str | None) -> None:
        self.chance, self.report = random.Random(seed), Report()
        self.data, self.executed = folder / "data", folder / "executed"
        self.rows: Path | str = database or self.data
        self.port, self.thawed = free_port(), list[float]()
        self.options: dict[str, Any] = {"cluster": "auto", "settings": {"start_timeout": 60.0}}
        if database is not None:
            self.options["settings"]["database"] = database
        self.cluster = JoinedCluster(self.data, folder / "nodes")
        try:
            self.cluster.wait()
            self.up = self.started()
        except BaseException:
            self.cluster.close()
            raise

    def started(self) -> Up:
        return Up(self.data, port=self.port, **self.options)

    @property
    def platform(self) -> str:
        """The id of the platform."""
        return str(query(self.rows, "SELECT value FROM facts WHERE name = 'stand'")[0][0])

    def count_ends(self) -> None:
        """Have the database itself count how often the row of each call gets an end."""
        if isinstance(self.rows, str):
            import psycopg

            with psycopg.connect(self.rows, autocommit=True) as connection:
                connection.execute(COUNT_ENDS["postgresql"])
        else:
            with closing(sqlite3.connect(self.rows / "stand.sqlite", timeout=30)) as connection:
                connection.executescript(COUNT_ENDS["sqlite"])

    def harm(self, kind: str) -> Callable[[], object]:
        """Do it to a node that is up, or to what is one in the cluster; returns what tells that it is as before."""
        platform = self.platform
        node = self.chance.choice(list(self.cluster.nodes.values()))
        raylet = wait_for_a_raylet(node)
        if kind == "raylet":
            send([raylet], signal.SIGKILL)
            return lambda: is_back(node, raylet)
        if kind == "node":
            node.cut_power(platform)
            time.sleep(OFF)
            node.start()
            return lambda: is_back(node, raylet)
        if kind == "keeper":
            send(keepers := node.pids(KEEPER), signal.SIGKILL)
            return lambda: set(node.pids(KEEPER)) - set(keepers)
        if kind == "replica":
            send(self.chance.sample(found := node.replicas(platform), k=min(2, len(found))), signal.SIGKILL)
            return lambda: True
        if kind == "frozen node":
            frozen = node.everything(platform)
            send(frozen, signal.SIGSTOP)
            time.sleep(self.chance.choice(FROZEN))
            self.thawed.append(time.time())
            send(frozen, signal.SIGCONT)
            thawed = time.monotonic()
            return lambda: time.monotonic() > thawed + NOTICE and node.pids(RAYLET) and node.is_up
        if kind == "head":
            raylets = {other: other.pids(RAYLET) for other in self.cluster.nodes.values()}
            send(self.cluster.head.pids(), signal.SIGKILL)
            return lambda: all(is_back(other, *pids) for other, pids in raylets.items())
        bridges = self.bridges()
        if kind == "bridge":
            send(bridges, signal.SIGKILL)
        else:
            self.up.kill()
            self.up = self.started()
        return lambda: set(self.bridges()) - set(bridges)

    def bridges(self) -> list[int]:
        return [pid for pid in with_children(self.up.process.pid) if BRIDGE in command_of(pid)]

    def nodes_work(self) -> bool:
        """Whether the platform knows of no problem with its nodes, and has all of them."""
        with suppress(httpx2.HTTPError, KeyError):
            nodes = self.up.http.get("/stand/v1/nodes").json()["nodes"]
            return len(nodes) == len(self.cluster.nodes) and all(node["problem"] is None for node in nodes)
        return False

    def do_harm(self, kinds: list[str]) -> None:
        """Do one or several harms, wait until all is as before, and note the longest time without an end of a call."""
        began = time.time()
        recovered = list[Callable[[], object]]()
        for kind in kinds:
            recovered.append(self.harm(kind))
            self.report.points[kind] += 1
            time.sleep(self.chance.uniform(0.0, 2.0))
        name = kinds[0] if len(kinds) == 1 else "two of these"
        until(lambda: all(is_over() for is_over in recovered) and self.nodes_work(), FLOW_TIMEOUT, f"{kinds}: recovery")
        settled = time.time()
        text = f"SELECT finished FROM calls WHERE finished > {began!r} AND state = 'succeeded' ORDER BY finished"
        until(lambda: any(row[0] > settled for row in query(self.rows, text)), FLOW_TIMEOUT, f"{kinds}: calls")
        ends = [began, *(row[0] for row in query(self.rows, text))]
        gap = max(later - earlier for earlier, later in itertools.pairwise(ends))
        self.report.gaps.setdefault(name, []).append(gap)
        log.info("%s: all as before after %.1f s, %.1f s without an end", " and ".join(kinds), settled - began, gap)


def is_back(node: JoinedNode, *earlier: int) -> bool:
    """Whether a node is up with another raylet than those."""
    found = node.pids(RAYLET)
    return bool(found) and not set(found) & set(earlier) and node.is_up


def survive(
    folder: Path, seed: int, points: int, database: str | None = None, kinds: tuple[str, ...] = KINDS
) -> Report:
    """Do harm at so many points, each kind as often as the others, and check every call.

    Args:
        folder: Of everything; a short path.
        seed: Of chance.
        points: How many.
        database: The URL of a PostgreSQL database; None for SQLite.
        kinds: What harm.
    """
    run = _Run(folder, seed, database)
    try:
        return _survive(run, seed, points, kinds)
    except BaseException as error:
        error.add_note(f"{run.cluster.logs()}\nplatform:\n{run.up.log[-6000:]}")
        raise
    finally:
        if run.up.process.poll() is None:
            run.up.kill()
        run.cluster.close()


def _survive(run: _Run, seed: int, points: int, kinds: tuple[str, ...]) -> Report:
    report, began, order = run.report, time.monotonic(), list[str]()
    build = run.up.deploy(environment={"EXECUTED": str(run.executed), "SLOTS": "2"})
    assert build["state"] == "live", build
    settings = {"min_replicas": 1, "max_replicas": 4, "idle_timeout": 20}
    run.up.http.patch("/stand/v1/projects/app", json=settings).raise_for_status()
    run.count_ends()
    load = Load(run.port, run.up.key, seed, seconds=(0, 0.02, 0.2), pause=0.5)
    try:
        while (left := points - report.points.total()) > 0:
            if len(order) < 2:
                order += run.chance.sample(kinds, k=len(kinds))
            count = 2 if left > 1 and run.chance.random() < TWO else 1
            run.do_harm([order.pop(0) for _ in range(count)])
            time.sleep(run.chance.uniform(0.3, 2.0))
    finally:
        load.stop()
    states = wait_for_the_end(run.rows, load.acknowledged, 240)
    report.two_ends = len(query(run.rows, "SELECT call FROM ends GROUP BY call HAVING count(*) > 1"))
    runs = Counter(line.split()[0] for line in run.executed.read_text().splitlines())
    report.acknowledged, report.lost = len(load.acknowledged), len(load.acknowledged) - len(states)
    answers = query(run.rows, "SELECT id, answer FROM calls WHERE state = 'succeeded'")
    got = {id: json.loads(answer)["got"]["n"] for id, answer in answers if id in load.acknowledged}
    report.wrong = sum(number != load.acknowledged[id] for id, number in got.items())
    report.twice = sum(count > 1 for count in runs.values())
    report.failed = sum(state == "failed" for state in states.values())
    report.seconds = time.monotonic() - began
    log.info("%s", report.as_json())
    report.late = verify(run.rows, run.executed, load.acknowledged, ATTEMPTS, run.thawed)
    assert run.up.stop() == 0, run.up.log
    return report


def write(report: Report, path: Path, database: str) -> None:
    """Add a report to a file of benchmarks/results, by its database."""
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**found, database: report.as_json()}, indent=1) + "\n")
