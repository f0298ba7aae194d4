"""Harm to every part of a cluster under load, and what it did to the calls: the run behind `test_chaos`."""

from __future__ import annotations

import json
import logging
import random
import signal
import sqlite3
import statistics
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults import Load, command_of, query, send, until, verify, wait_for_the_end
from joined_cluster import JoinedCluster, JoinedNode, wait_for_a_raylet, with_children
from servers import free_port
from stands import Up

__all__ = ["KINDS", "Report", "survive", "write"]

log = logging.getLogger(__name__)

KINDS = ("raylet", "node", "keeper", "replica", "frozen node", "head", "bridge", "platform")
ATTEMPTS = 3  # the platform's default
FLOW_TIMEOUT = 180.0  # seconds until calls must flow again
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
        flow: Seconds from the harm until a call that has begun after it had succeeded, by the kind of harm.
        twice: Calls whose handler began more than once.
    """

    points: Counter[str] = field(default_factory=Counter[str])
    flow: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    acknowledged: int = 0
    failed: int = 0
    twice: int = 0
    two_ends: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        flow = {
            kind: {"points": len(waits), "p50_s": round(statistics.median(waits), 2), "max_s": round(max(waits), 2)}
            for kind, waits in sorted(self.flow.items())
        }
        return {"points": self.points.total(), "seconds": round(self.seconds), "acknowledged": self.acknowledged,
                "lost": 0, "wrong": 0, "two_ends": self.two_ends, "failed": self.failed,
                "handlers_run_twice": self.twice, "calls_flow_again": flow}  # fmt: skip


class _Run:
    """One run: a platform, its cluster, and callers."""

    def __init__(self, folder: Path, seed: int, database: str | None) -> None:
        self.chance, self.report = random.Random(seed), Report()
        self.data, self.executed = folder / "data", folder / "executed"
        self.rows: Path | str = database or self.data
        self.port = free_port()
        self.options: dict[str, Any] = {"cluster": "auto", "settings": {"start_timeout": 60.0}}
        if database is not None:
            self.options["database"] = database
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

    def harm(self, kind: str) -> None:
        """Do it to a node that is up, or to what is one in the cluster."""
        platform = self.platform
        node = self.chance.choice(list(self.cluster.nodes.values()))
        raylet = wait_for_a_raylet(node)
        self.began = time.time()
        if kind == "raylet":
            send([raylet], signal.SIGKILL)
        elif kind == "node":
            node.cut_power(platform)
            time.sleep(OFF)
            node.start()
        elif kind == "keeper":
            send(node.pids("ray::Keeper"), signal.SIGKILL)
        elif kind == "replica":
            send(self.chance.sample(found := node.replicas(platform), k=min(2, len(found))), signal.SIGKILL)
        elif kind == "frozen node":
            self.freeze(node, platform)
        elif kind == "head":
            send(self.cluster.head.pids(), signal.SIGKILL)
        elif kind == "bridge":
            children = list(with_children(self.up.process.pid))
            send([pid for pid in children if "bananastand.cluster.bridge_process" in command_of(pid)], signal.SIGKILL)
        elif kind == "platform":
            self.up.kill()
            self.up = self.started()

    def freeze(self, node: JoinedNode, platform: str) -> None:
        frozen = node.everything(platform)
        send(frozen, signal.SIGSTOP)
        try:
            time.sleep(self.chance.choice(FROZEN))
        finally:
            send(frozen, signal.SIGCONT)

    def wait_for_flow(self, kind: str) -> None:
        """Wait until a call that has begun after the harm has succeeded, and note how long that took."""
        text = f"SELECT min(finished) FROM calls WHERE begun > {self.began!r} AND state = 'succeeded'"
        until(lambda: query(self.rows, text)[0][0] is not None, FLOW_TIMEOUT, f"a call after harm to a {kind}")
        self.report.flow.setdefault(kind, []).append(query(self.rows, text)[0][0] - self.began)


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
    report, began = run.report, time.monotonic()
    build = run.up.deploy(environment={"EXECUTED": str(run.executed), "SLOTS": "2"})
    assert build["state"] == "live", build
    settings = {"min_replicas": 1, "max_replicas": 4, "idle_timeout": 20}
    run.up.http.patch("/stand/v1/projects/app", json=settings).raise_for_status()
    run.count_ends()
    load = Load(run.port, run.up.key, seed, seconds=(0, 0.02, 0.2), pause=0.25)
    try:
        for number in range(points):
            if number % len(kinds) == 0:
                order = run.chance.sample(kinds, k=len(kinds))
            kind = order[number % len(kinds)]
            time.sleep(run.chance.uniform(0.3, 3.0))
            run.harm(kind)
            report.points[kind] += 1
            run.wait_for_flow(kind)
            log.info("%.0f s: %s, flows after %.1f s", time.monotonic() - began, kind, report.flow[kind][-1])
    finally:
        load.stop()
    states = wait_for_the_end(run.rows, load.acknowledged, 240)
    report.two_ends = len(query(run.rows, "SELECT call FROM ends GROUP BY call HAVING count(*) > 1"))
    verify(run.rows, run.executed, load.acknowledged, ATTEMPTS)
    runs = Counter(line.split()[0] for line in run.executed.read_text().splitlines())
    report.acknowledged, report.twice = len(states), sum(count > 1 for count in runs.values())
    report.failed = sum(state == "failed" for state in states.values())
    report.seconds = time.monotonic() - began
    assert run.up.stop() == 0, run.up.log
    return report


def write(report: Report, path: Path, **about: Any) -> None:
    """Write a report for benchmarks/results."""
    path.write_text(json.dumps({**about, **report.as_json()}, indent=1) + "\n")
