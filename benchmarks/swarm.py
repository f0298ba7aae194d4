"""The platform's scheduling at 10 to 10,000 replicas: calls a second, time of a decision, memory of an idle replica.

`python -m benchmarks.swarm` runs the real dispatcher, pool, autoscaler and SQLite database on one core in virtual time,
with the fake nodes of `tools.simulate`: nodes of 8 GPUs, each for one replica, and a project for each 10 replicas. It
measures processor time, which includes the work of the fakes; the platform has one thread here, so on a machine that
does nothing else this is wall time. It writes results/swarm.json, a plot and the pages' tables.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

from bananastand.platform.replicas.pool import Pool
from bananastand.platform.replicas.replica import Replica
from bananastand.platform.scheduling.dispatcher import Dispatcher
from bananastand.platform.scheduling.scaling_loop import ScalingLoop
from bananastand.platform.settings import Settings
from bananastand.platform.store.blobs import Blobs
from bananastand.platform.store.builds import Builds
from bananastand.platform.store.calls import Calls
from bananastand.platform.store.database import SqliteStore
from bananastand.platform.store.projects import Project, Projects
from bananastand.platform.store.writer import Writer, _Write
from tools.simulate.loop import SimulatedLoop
from tools.simulate.nodes import SimulatedNodes
from tools.simulate.platform import add_live_version
from tools.simulate.scenario import simulated
from tools.simulate.world import Profile, World

from ._command import parser, publish
from ._machine import commit, processor, quantile

GPUS = 8  # of a node
REPLICAS_OF_PROJECT = 10
CALL_SECONDS = 0.05
ROUNDS = 5  # of which the fastest counts: other programs slow some of them down
SYNC_SECONDS = 0.002  # of the disk
TICK = 0.001  # virtual seconds in which everything that is due happens in one round of the loop
LOAD = 0.5  # share of the replicas that are busy
DAY = 86_400


class QuietWorld(World):
    """A world in which nothing misbehaves, and of which no trace is kept."""

    def note(self, actor: str, event: str) -> None:
        pass


class InOrder(random.Random):
    """Leaves what is ready in its order."""

    def shuffle(self, x: Any) -> None:
        pass


class BatchWriter(Writer):
    """Commits on the loop what was requested in the last SYNC_SECONDS, as the writer's thread does during a sync."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._waiting = list[_Write]()

    async def _request(self, work: Any) -> Any:
        loop = asyncio.get_running_loop()
        write = _Write(work, loop, loop.create_future(), loop.time())
        if not self._waiting:
            loop.call_later(SYNC_SECONDS, self._commit_all)
        self._waiting.append(write)
        self._requested += work is not None
        return await write.future

    @property
    def is_busy(self) -> bool:
        return self._requested != self._begun

    def _commit_all(self) -> None:
        writes, self._waiting, self._begun = self._waiting, [], self._requested
        if working := [write for write in writes if write.work is not None]:
            self._commit(working)
        for write in writes:
            if write.error is not None:
                write.future.set_exception(write.error)
            elif not write.future.done():
                write.future.set_result(write.result)


class TimedScalingLoop(ScalingLoop):
    """Notes how long it takes from the begin of a run to its decision, and for how many projects it decides."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.timed = list[tuple[int, float]]()
        decide = self._autoscaler.decide

        def count(demands: list[Any], *rest: Any) -> Any:
            decision = decide(demands, *rest)
            self.timed.append((len(demands), time.process_time() - self._began))
            return decision

        self._autoscaler.decide = count

    def _apply(self) -> float | None:
        self._began = time.process_time()
        return super()._apply()

    def milliseconds_per_project(self) -> list[float]:
        """Return how long the runs took for each project that they decided for, ascending, and forget them."""
        timed, self.timed = self.timed, []
        return sorted(1000 * seconds / count for count, seconds in timed if count)


class Swarm:
    """A platform with many projects on many fake nodes."""

    def __init__(self, data: Path, world: World, replicas: int) -> None:
        self.count, self.nodes_count = replicas, math.ceil(replicas / GPUS)
        settings = Settings(data=data, fork_servers=0)
        self.store = SqliteStore(data / "stand.sqlite", make_writer=BatchWriter)
        self.projects, self.builds = Projects(self.store), Builds(self.store)
        for number in range(max(1, replicas // REPLICAS_OF_PROJECT)):
            project = self.projects.create(f"project-{number}", idle_timeout=DAY, max_replicas=REPLICAS_OF_PROJECT)
            add_live_version(self.projects, self.builds, project)
        calls = Calls(self.store, Blobs(data / "bodies"))
        self.nodes = SimulatedNodes(world, lambda run_id: False, self.nodes_count, GPUS)
        self.pool = Pool(settings, self.store.id, lambda project, replica, line: None, nodes=self.nodes)
        self.dispatcher = Dispatcher(settings, calls, self.projects, self.pool)
        self.scaling = TimedScalingLoop(
            settings, self.projects, self.builds, self.pool, self.dispatcher, lambda project: False
        )
        self.dispatcher.set_on_change(self.scaling.notify)
        self.pool.listeners.append(self._replica_changed)
        self.projects.on_change.append(lambda project, exists: self.scaling.notify(project.id))
        self.nodes.listeners.append(lambda: self.scaling.notify(None))
        self._task = asyncio.create_task(self.scaling.run())

    def _replica_changed(self, replica: Replica) -> None:
        if replica.state == "ready":
            self.dispatcher.assign(replica.project_id)
        self.scaling.notify(replica.project_id)

    async def fill(self) -> None:
        """Have all replicas started."""
        for project in self.projects.list():
            self.projects.change(project, {"min_replicas": REPLICAS_OF_PROJECT})
        while sum(replica.state == "ready" for replica in self.pool.replicas.values()) < self.count:
            await asyncio.sleep(1.0)
        for project in self.projects.list():
            self.projects.change(project, {"min_replicas": 0})
        await asyncio.sleep(1.0)

    async def run_calls(self, count: int) -> None:
        """Submit calls at random moments, such that LOAD of the replicas are busy, and wait for their ends."""
        chance, rate, projects = random.Random(0), LOAD * self.count / CALL_SECONDS, self.projects.list()
        submitted, now, moment = list[asyncio.Task[None]](), asyncio.get_running_loop().time, 0.0
        began = now()
        for _ in range(count):
            moment += chance.expovariate(rate)
            await asyncio.sleep(max(0.0, began + moment - now()))
            submitted.append(asyncio.create_task(self._call(chance.choice(projects))))
        await asyncio.gather(*submitted)

    async def _call(self, project: Project) -> None:
        body = json.dumps({"name": "a call", "kind": "good", "seconds": CALL_SECONDS}).encode()
        pending = await self.dispatcher.submit(project, "/good", body, durable=False)
        outcome = await pending.outcome()
        assert outcome is not None
        assert outcome.status == 200, outcome.error

    async def squeeze(self, count: int) -> None:
        """Call new projects where all GPUs are taken: for each of them another project gives a replica."""
        calls = list[asyncio.Task[None]]()
        for number in range(count):
            project = self.projects.create(f"late-{number}", idle_timeout=DAY)
            add_live_version(self.projects, self.builds, project)
            calls.append(asyncio.create_task(self._call(project)))
        await asyncio.gather(*calls)

    async def stop(self) -> None:
        self._task.cancel()
        await self.dispatcher.close()
        await self.pool.stop_all(1.0)
        self.store.close()


def main() -> None:
    arguments = parser(__doc__, "swarm")
    arguments.add_argument("--replicas", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    arguments.add_argument("--calls", type=int, default=10_000)
    arguments.add_argument("--one", choices=("time", "memory"), help="measure one number of replicas in this process")
    options = arguments.parse_args()
    if options.one:
        print(json.dumps(measure(options.replicas[0], options.calls, in_memory=options.one == "memory")))
        return
    sizes = {}
    for replicas in options.replicas:
        sizes[str(replicas)] = one(replicas, options.calls, "time") | one(replicas, options.calls, "memory")
        print(replicas, sizes[str(replicas)], file=sys.stderr, flush=True)
    report = {
        "what": "calls a second of wall time on one core, milliseconds of a decision, and bytes of an idle replica",
        "machine": {"processor": processor(), "python": sys.version.split()[0], "commit": commit()},
        "gpus_of_a_node": GPUS,
        "replicas_of_a_project": REPLICAS_OF_PROJECT,
        "call_seconds": CALL_SECONDS,
        "load": LOAD,
        "calls": options.calls,
        "replicas": sizes,
    }
    plot(report, options.out.with_suffix(".png"))
    publish(report, options)


def one(replicas: int, calls: int, what: str) -> dict[str, Any]:
    """Measure one number of replicas in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.swarm", "--one", what, "--replicas", str(replicas), "--calls"]
    done = subprocess.run([*command, str(calls)], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def measure(replicas: int, calls: int, *, in_memory: bool) -> dict[str, Any]:
    """Measure a platform with so many replicas."""
    world = QuietWorld(0)
    world.profile = replace(calm(world.profile), nodes=math.ceil(replicas / GPUS), gpus=GPUS)
    world.chance = InOrder(0)
    data = Path(tempfile.mkdtemp(prefix="swarm-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    loop = SimulatedLoop(world.chance, 0.0, lambda: None)
    loop._clock_resolution = TICK
    asyncio.set_event_loop(loop)
    world.clock = loop.time
    work = measure_memory(data, world, replicas) if in_memory else measure_time(data, world, replicas, calls)
    try:
        with simulated(world):
            return loop.run_until_complete(work)
    finally:
        shutil.rmtree(data)


async def measure_time(data: Path, world: World, replicas: int, calls: int) -> dict[str, Any]:
    """Start the replicas, run calls, and take GPUs away from projects."""
    swarm = Swarm(data, world, replicas)
    began = time.process_time()
    await swarm.fill()
    filled = time.process_time() - began
    await swarm.run_calls(min(calls, 1000))  # until everything is warm
    swarm.scaling.timed.clear()
    rates = list[float]()
    for _ in range(ROUNDS):
        began = time.process_time()
        await swarm.run_calls(calls)
        rates.append(calls / (time.process_time() - began))
    decisions = swarm.scaling.milliseconds_per_project()
    await swarm.squeeze(max(1, replicas // 100))
    short = swarm.scaling.milliseconds_per_project()
    await swarm.stop()
    return {
        "nodes": swarm.nodes_count,
        "projects": max(1, replicas // REPLICAS_OF_PROJECT),
        "seconds_to_start_all": round(filled, 2),
        "calls_per_second": round(max(rates)),
        "calls_per_second_of_each_round": [round(rate) for rate in rates],
        "decide_ms": {"p50": round(quantile(decisions, 0.5), 4), "p99": round(quantile(decisions, 0.99), 4)},
        "decide_ms_without_free_gpus": {"p50": round(quantile(short, 0.5), 4), "p99": round(quantile(short, 0.99), 4)},
    }


async def measure_memory(data: Path, world: World, replicas: int) -> dict[str, Any]:
    """Return what an idle replica holds in the memory of the platform."""
    swarm = Swarm(data, world, replicas)
    await asyncio.sleep(1.0)
    gc.collect()
    tracemalloc.start()
    await swarm.fill()
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    await swarm.stop()
    return {"bytes_of_an_idle_replica": round(held / replicas)}


def calm(profile: Profile) -> Profile:
    """Return a profile without faults."""
    return replace(
        profile, concurrency=1, death=0.0, bad_start=0.0, hang=0.0, flaky_health=0.0, busy=0.0, disk_failure=0.0,
        disk_outage=0.0, clock_jumps=0.0, node_loss=0.0, node_freeze=0.0, node_lies=0.0, cordons=0.0,
    )  # fmt: skip


def plot(report: dict[str, Any], path: Path) -> None:
    """Draw how the figures grow with the number of replicas."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sizes = {int(count): found for count, found in report["replicas"].items()}
    counts = list(sizes)
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
    curves = (
        ("calls a second of wall time", [sizes[count]["calls_per_second"] for count in counts], 2000),
        ("ms for each project decided for, p99", [sizes[count]["decide_ms"]["p99"] for count in counts], 1),
        ("the same, no GPU free, p99", [sizes[count]["decide_ms_without_free_gpus"]["p99"] for count in counts], 1),
        ("KB of an idle replica", [sizes[count]["bytes_of_an_idle_replica"] / 1000 for count in counts], 20),
    )
    for axis, (title, values, limit) in zip(axes, curves, strict=True):
        axis.plot(counts, values, marker="o")
        axis.axhline(limit, linestyle="--", color="gray")
        axis.set(xscale="log", xlabel="replicas", title=title, ylim=(0, max(*values, limit) * 1.15))
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
