"""What a Ray cluster costs: what a call takes more than on one machine, drains by 1, 2 and 4 nodes, starts, memory.

`python -m benchmarks.cluster [--calls N] [--queued N] [--starts N] [--only PART]` writes results/cluster.json.

All nodes are processes of this machine, each with an address of its own on loopback; `bananastand cluster head` and
`bananastand join` run them.

call: the same call through three platforms, in turns of 100: on this machine, and on a node, over a relay with and
without TLS. drain: calls of 50 ms that wait in a queue, by replicas of this machine and by as many nodes with one
replica each; ideal is their sum divided by the replicas. ready: from an order to a replica that is ready, forked from a
warm fork server on a node. memory: of the platform with its bridge, and of a keeper beside an empty actor of Ray's
(proportional set size).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from ._command import parser
from ._machine import ROOT, command, machine, quantile
from .platform import HOSTS, PATHS, SLEEP, Up, calls, drained, stop

sys.path.insert(0, str(ROOT / "tests" / "support"))

from joined_cluster import JoinedCluster

PARTS = ("call", "drain", "ready", "memory")
NODES = (1, 2, 4)
TURN = 100
APP = HOSTS / "sleeper.py"
FORKED = re.compile(r"ready after ([\d.]+) s: forked")
PROBE = """
import ray, sys
ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
@ray.remote(num_cpus=0)
class Empty:
    def memory(self):
        return next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Pss:"))
print("kB", ray.get(Empty.options(label_selector={"probe": "yes"}).remote().memory.remote()))
"""


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        sys.exit(serve(json.loads(sys.argv[2])))
    arguments = parser(__doc__, "cluster")
    arguments.add_argument("--calls", type=int, default=2000, help="by each way of the call part")
    arguments.add_argument("--queued", type=int, default=1000, help="calls of the drain part")
    arguments.add_argument("--starts", type=int, default=15)
    arguments.add_argument("--only", choices=PARTS, action="append")
    options = arguments.parse_args()
    versions = {"ray": metadata.version("ray"), "database": "SQLite"}
    report: dict[str, Any] = {"command": command("benchmarks.cluster"), "machine": machine("cpu", 1), **versions}
    for part in options.only or PARTS:
        report[part] = globals()[f"measure_{part}"](options)
        print(f"{part}: {json.dumps(report[part])}", file=sys.stderr, flush=True)
    report["load_average"] = [round(load, 1) for load in os.getloadavg()]
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def measure_call(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a call, in turns by each way."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(short_folder())
        ups = {"local": stack.enter_context(platform(folder / "local"))}
        for name, encrypted in (("relay", False), ("relay with TLS", True)):
            stack.enter_context(cluster(folder / name.replace(" ", "-"), nodes=1))
            ups[name] = stack.enter_context(platform(folder / name.replace(" ", "-"), encrypted=encrypted))
        taken: dict[str, list[float]] = {name: [] for name in ups}
        for up in ups.values():
            up.deploy("sleeper", APP)
            up.settings("sleeper", min_replicas=1)
            asyncio.run(calls(*way(up), 200))
        while len(taken["local"]) < options.calls:
            for name, up in ups.items():
                taken[name] += asyncio.run(calls(*way(up), TURN))
    row: dict[str, Any] = {"calls": options.calls}
    for name, seconds in taken.items():
        ordered = sorted(seconds)
        row[name] = {f"p{share}_ms": round(quantile(ordered, share / 100) * 1000, 3) for share in (50, 99)}
    for name in ("relay", "relay with TLS"):
        row[f"{name} adds_p50_ms"] = round(row[name]["p50_ms"] - row["local"]["p50_ms"], 3)
        row[f"{name} adds_p99_ms"] = round(row[name]["p99_ms"] - row["local"]["p99_ms"], 3)
    return row


def measure_drain(options: argparse.Namespace) -> dict[str, Any]:
    """The share of the ideal, by replicas here and by nodes with one replica each."""
    row: dict[str, Any] = {"queued": options.queued, "call_seconds": SLEEP}
    for count in NODES:
        with short_folder() as folder:
            with platform(folder / "local") as up:
                row[f"{count} here"] = _drain(up, count, options.queued)
            with cluster(folder / "data", nodes=count, cpus=1), platform(folder / "data", encrypted=True) as up:
                row[f"{count} nodes"] = _drain(up, count, options.queued)
                replicas = up.http.get("/stand/v1/nodes").json()["nodes"]
                assert [node["replicas"] for node in replicas] == [1] * count, replicas
    return row


def _drain(up: Up, count: int, queued: int) -> dict[str, Any]:
    up.deploy("sleeper", APP)
    up.settings("sleeper", min_replicas=count, max_replicas=count)
    up.wait(lambda: up.http.get("/stand/v1/projects/sleeper").json()["ready"] == count)
    asyncio.run(calls(*way(up), 50))
    busy = psutil.cpu_times()
    row = drained(up, queued, count)
    spent = psutil.cpu_times()
    total, idle = sum(spent) - sum(busy), spent.idle - busy.idle
    return {**row, "machine_busy": round(1 - idle / total, 2)}


def measure_ready(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds until a replica is ready, of those that were forked on a node."""
    with short_folder() as folder, cluster(folder / "data", nodes=1), platform(folder / "data", encrypted=True) as up:
        up.deploy("sleeper", APP)
        up.wait(lambda: "is warm" in up.http.get("/stand/v1/projects/sleeper/logs").text)
        first_calls = list[float]()
        for _ in range(options.starts):
            up.settings("sleeper", idle_timeout=0)
            up.wait(lambda: up.http.get("/stand/v1/projects/sleeper").json()["replicas"] == 0)
            up.settings("sleeper", idle_timeout=600)
            first_calls += asyncio.run(calls(*way(up), 1))
        lines = up.http.get("/stand/v1/projects/sleeper/logs").text
        ready = sorted(float(seconds) for seconds in FORKED.findall(lines))
    assert len(ready) >= options.starts, lines
    return {
        "starts": len(ready),
        "p50_s": round(quantile(ready, 0.5), 3),
        "max_s": ready[-1],
        "call_from_zero_p50_s": round(quantile(sorted(first_calls), 0.5), 3),
    }


def measure_memory(options: argparse.Namespace) -> dict[str, Any]:
    """MiB, after calls."""
    with short_folder() as folder, cluster(folder / "data", nodes=1) as machines:
        with platform(folder / "data", encrypted=True) as up:
            up.deploy("sleeper", APP)
            asyncio.run(calls(*way(up), TURN))
            own = psutil.Process(up.process.pid)
            bridge = [child for child in own.children() if "bridge_process" in " ".join(child.cmdline())]
            keepers = machines.nodes["node-2"].pids("ray::Keeper")
            assert len(bridge) == len(keepers) == 1
            row = {"platform_mb": proportional(own.pid), "bridge_mb": proportional(bridge[0].pid),
                   "keeper_mb": proportional(keepers[0])}  # fmt: skip
        environment = {**os.environ, **front_environment(folder / "data"), "PYTHONPATH": PATHS}
        probe = subprocess.run(
            [sys.executable, "-c", PROBE, machines.cluster.address], env=environment, capture_output=True, text=True
        )
        assert probe.returncode == 0, probe.stderr[-2000:]
    row["empty_actor_mb"] = round(int(probe.stdout.split()[-1]) / 1024, 1)
    row["platform_with_bridge_mb"] = round(row["platform_mb"] + row["bridge_mb"], 1)
    row["keeper_above_ray_mb"] = round(row["keeper_mb"] - row["empty_actor_mb"], 1)
    return row


def proportional(pid: int) -> float:
    """The proportional set size of a process, in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024, 1)


def way(up: Up) -> tuple[int, str, dict[str, str]]:
    """The port, path and headers of a call."""
    return up.port, "/stand/v1/projects/sleeper/call/", {"authorization": f"Bearer {up.key}"}


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short path, because Ray makes sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="bb-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def cluster(data: Path, **options: int) -> Iterator[JoinedCluster]:
    """A cluster whose nodes run replicas, for the platform with that data directory."""
    machines = JoinedCluster(data, data.with_name(f"{data.name}-nodes"), label="probe=yes", **options)
    try:
        machines.wait()
        yield machines
    finally:
        machines.close()


@contextlib.contextmanager
def platform(data: Path, *, encrypted: bool | None = None) -> Iterator[Up]:
    """A platform on this machine, or over its cluster with or without TLS of the relay."""
    up = Up(data, module="benchmarks.cluster", encrypted=encrypted)
    try:
        yield up
    finally:
        stop(up)


def front_environment(data: Path) -> dict[str, str]:
    from bananastand.cluster.credentials import Identity, cluster_folder

    return Identity.load(cluster_folder(data) / "front").ray_environment()


def serve(options: dict[str, Any]) -> int:
    """The platform's process."""
    from bananastand.cli import _platform_server
    from bananastand.cluster.cluster_nodes import ClusterNodes
    from bananastand.cluster.credentials import Identity, cluster_folder
    from bananastand.platform.platform import MakeNodes
    from bananastand.platform.settings import Settings

    from .platform import serve as serve_platform

    encrypted = options.pop("encrypted")
    if encrypted is None:
        return serve_platform(options)
    front = Identity.load(cluster_folder(Path(options["data"])) / "front")

    def make_nodes(settings: Settings, id: str) -> ClusterNodes:
        return ClusterNodes(settings, id, address=front.cluster.address, front=front, encrypted=encrypted)

    @contextlib.contextmanager
    def nodes_of(*_: object) -> Iterator[MakeNodes]:
        yield make_nodes

    _platform_server.nodes_of = nodes_of  # a relay without TLS is nothing that the command line offers
    return serve_platform(options)


if __name__ == "__main__":
    main()
