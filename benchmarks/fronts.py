"""Two fronts over one PostgreSQL database: calls through both while the active one is killed, frozen, or stopped.

`python -m benchmarks.fronts --server postgresql://USER@HOST [--calls N] [--losses N]` writes results/fronts.json. The
server gets a database of its own, which is dropped in the end; its user may create databases.

Sixteen callers share the fronts. One whose connection breaks asks the other front, under the same request id. A trigger
in the database counts how often the row of each call ends; the app counts how often its handler runs. The gap of a loss
is the longest time without an answer until the next one.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from ._command import parser
from ._machine import ROOT, command, machine, quantile
from ._servers import free_port

PATHS = os.pathsep.join((str(ROOT), str(ROOT / "mocks")))
APP = Path(__file__).resolve().parent / "hosts" / "counter.py"
CALLERS = 16
PAUSE = 0.6  # seconds at most between two calls of a caller, so that the load outlasts the losses
PATIENCE = 120.0
LOSSES = ("kill", "kill", "freeze", "kill", "stop")
COUNT_ENDS = """
CREATE TABLE ends (call text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION count_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.finished IS NOT NULL THEN INSERT INTO ends (call) VALUES (NEW.id); END IF; RETURN NEW; END $$;
CREATE TRIGGER count_end AFTER UPDATE ON calls FOR EACH ROW EXECUTE FUNCTION count_end();
"""


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        sys.exit(serve(json.loads(sys.argv[2])))
    arguments = parser(__doc__, "fronts")
    arguments.add_argument("--server", required=True, help="such as postgresql://postgres@127.0.0.1:5432")
    arguments.add_argument("--calls", type=int, default=3000)
    arguments.add_argument("--losses", type=int, default=10, help="of the active front")
    options = arguments.parse_args()
    report = {"command": command("benchmarks.fronts"), "machine": machine("cpu", 1)}
    report |= measure(options.server, options.calls, options.losses)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def measure(server: str, calls: int, losses: int) -> dict[str, Any]:
    """Return what became of the calls, and the gap of each loss."""
    with tempfile.TemporaryDirectory() as folder, _database(server) as database:
        fronts = Pair(Path(folder), database)
        try:
            return {"postgresql": _version(database), **_measured(fronts, database, calls, losses)}
        finally:
            fronts.close()


def _measured(fronts: Pair, database: str, calls: int, losses: int) -> dict[str, Any]:
    latency = {way: fronts.latency(way) for way in ("active", "standby")}
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(COUNT_ENDS)
        load = Load(fronts, calls)
        load.start()
        found = list[dict[str, Any]]()
        for number, kind in zip(range(losses), itertools.cycle(LOSSES), strict=False):
            load.wait_for(calls * (number + 1) // (losses + 2))
            found.append(fronts.lose(kind, load))
        load.join()
        ended = Counter(dict(connection.execute("SELECT call, count(*) FROM ends GROUP BY call").fetchall()))
        states = dict(connection.execute("SELECT state, count(*) FROM calls WHERE method = 'POST' GROUP BY state"))
        rows = connection.execute("SELECT count(*) FROM calls WHERE request IS NOT NULL").fetchall()[0][0]
    moments = [*(loss.pop("at") for loss in found), time.monotonic()]
    for loss, (at, until) in zip(found, itertools.pairwise(moments), strict=True):
        loss["gap_seconds"] = round(load.gap(at, until), 2)
    gaps = sorted(loss["gap_seconds"] for loss in found)
    executed = Counter((fronts.folder / "executed").read_text().split())
    del executed["-1"]
    return {
        "calls": calls, "losses": losses, "answered": len(load.answers), "failed": load.failures,
        "calls_in_database": rows, "states": states, "ended_once": sum(count == 1 for count in ended.values()),
        "ended_twice": sum(count > 1 for count in ended.values()), "handlers_run_twice": sum(
            count > 1 for count in executed.values()), "asked_the_other_front": load.moved,
        "latency_ms": latency, "gap_p50_seconds": statistics.median(gaps), "gap_max_seconds": gaps[-1], "each": found,
    }  # fmt: skip


class Process:
    """One front."""

    def __init__(self, folder: Path, database: str, executed: Path) -> None:
        self.port, self.data = free_port(), folder
        options = {"data": str(folder), "port": self.port, "database": database, "executed": str(executed)}
        arguments = [sys.executable, "-m", "benchmarks.fronts", "--serve", json.dumps(options)]
        self.log = folder.with_suffix(".log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": PATHS}, stdout=log, stderr=log
            )
        self.url = f"http://127.0.0.1:{self.port}"

    def health(self) -> dict[str, Any]:
        """What it says of itself; nothing while it does not answer."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            answer = httpx2.get(f"{self.url}/healthz", timeout=2, trust_env=False).json()
        except httpx2.HTTPError:
            return {}
        return dict(answer)


class Pair:
    """An active front and one that stands by."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self._database, self._count = folder, database, itertools.count()
        first = self._new()
        _wait(lambda: first.health().get("role") == "active")
        self.key = tomllib.loads((first.data / "client.toml").read_text())["key"]
        self.headers = {"authorization": f"Bearer {self.key}"}
        with httpx2.Client(base_url=first.url, headers=self.headers, timeout=PATIENCE, trust_env=False) as http:
            http.post("/stand/v1/projects/app/deploy", json={"source": str(APP)}).raise_for_status()
            _wait(lambda: http.get("/stand/v1/projects/app").json()["deployment"])
            http.patch("/stand/v1/projects/app", json={"min_replicas": 1, "concurrency": 8}).raise_for_status()
        self.active, self.standby = first, self._new()
        _wait(lambda: self.standby.health().get("active") is not None)

    def latency(self, way: str) -> dict[str, float]:
        """Milliseconds of 200 calls, one after another, through the active front or the one that stands by."""
        front, taken = getattr(self, way), list[float]()
        with httpx2.Client(base_url=front.url, headers=self.headers, timeout=PATIENCE, trust_env=False) as http:
            for _ in range(220):
                began = time.perf_counter()
                http.post("/stand/v1/projects/app/call/", json={"number": -1}).raise_for_status()
                taken.append((time.perf_counter() - began) * 1000)
        ordered = sorted(taken[20:])
        return {"p50": round(quantile(ordered, 0.5), 2), "p99": round(quantile(ordered, 0.99), 2)}

    def lose(self, kind: str, load: Load) -> dict[str, Any]:
        """Kill, freeze or stop the active front, and have another one stand by once its successor serves."""
        lost, successor = self.active, self.standby
        at = time.monotonic()
        lost.process.send_signal({"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "stop": signal.SIGTERM}[kind])
        _wait(lambda: successor.health().get("role") == "active")
        seconds = time.monotonic() - at
        self.active = successor
        if kind == "freeze":
            lost.process.send_signal(signal.SIGCONT)
            _wait(lambda: lost.health().get("role") == "standby")
            self.standby = lost
        else:
            lost.process.wait(60)
            self.standby = self._new()
            _wait(lambda: self.standby.health().get("active") is not None)
        print(f"{kind}: {seconds:.2f} s, {len(load.answers)} answers", file=sys.stderr, flush=True)
        return {"kind": kind, "active_after_seconds": round(seconds, 2), "at": at}

    def urls(self, first: int) -> list[str]:
        """The addresses of both fronts, in an order that differs between callers."""
        both = [self.active.url, self.standby.url]
        return both if first % 2 else both[::-1]

    def close(self) -> None:
        """End both."""
        for front in (self.active, self.standby):
            front.process.kill()
            front.process.wait()

    def _new(self) -> Process:
        return Process(self.folder / f"front-{next(self._count)}", self._database, self.folder / "executed")


@dataclass
class Load:
    """Callers that make all the calls."""

    fronts: Pair
    calls: int
    answers: list[float] = field(default_factory=list[float])
    failures: list[str] = field(default_factory=list[str])
    moved: int = 0

    def start(self) -> None:
        """Begin."""
        self._numbers, self._lock = iter(range(self.calls)), threading.Lock()
        self._threads = [threading.Thread(target=self._call, args=(index,)) for index in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait for all answers."""
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Wait for so many answers."""
        _wait(lambda: len(self.answers) + len(self.failures) >= count)

    def gap(self, at: float, until: float) -> float:
        """Seconds of the longest time without an answer between two moments."""
        moments = [at, *sorted(moment for moment in self.answers if at < moment < until)]
        assert len(moments) > 1, "the load was over before"
        return max(later - earlier for earlier, later in itertools.pairwise(moments))

    def _call(self, index: int) -> None:
        pause = random.Random(index)
        with httpx2.Client(headers=self.fronts.headers, timeout=PATIENCE, trust_env=False) as http:
            while True:
                with self._lock:
                    number = next(self._numbers, None)
                if number is None:
                    return
                self._one(http, index, number)
                time.sleep(pause.uniform(0.0, PAUSE))

    def _one(self, http: httpx2.Client, index: int, number: int) -> None:
        headers = {"x-banana-request-id": str(uuid.uuid4())}
        until, problem = time.monotonic() + PATIENCE, ""
        for attempt in itertools.count():
            urls = self.fronts.urls(index)
            url = f"{urls[attempt % 2]}/stand/v1/projects/app/call/"
            try:
                answer = http.post(url, json={"number": number}, headers=headers)
            except httpx2.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if answer.status_code == 200 and answer.json() == {"number": number}:
                    self.answers.append(time.monotonic())
                    return
                problem = f"{answer.status_code} {answer.text[:200]}"
                if answer.status_code != 503:
                    break
            if time.monotonic() > until:
                break
            self.moved += 1
            time.sleep(0.1)
        self.failures.append(problem)


def serve(options: dict[str, Any]) -> int:
    """Run one front: a build is a launch of APP."""
    from bananastand.cli._platform_options import Options
    from bananastand.cli._platform_server import run
    from bananastand.platform.building.deployer import BuildRequest
    from bananastand.platform.launch import Launch

    environment = {"EXECUTED": options.pop("executed")}

    async def build(order: BuildRequest) -> Launch:
        return Launch("process", (sys.executable, "-S", str(APP)), str(APP.parent), environment)

    return run(Options(**{**options, "data": Path(options["data"])}), build, isolation="none")


@contextlib.contextmanager
def _database(server: str) -> Iterator[str]:
    name = f"bananastand_fronts_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{server}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _version(database: str) -> str:
    with psycopg.connect(database) as connection:
        return str(connection.execute("SHOW server_version").fetchall()[0][0])


def _wait(holds: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.02)


if __name__ == "__main__":
    main()
