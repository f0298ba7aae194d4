"""The local Banana: what a call costs on its way, how a queue is drained, a start from zero, and what idling costs.

`python -m benchmarks.platform [--calls N] [--queued N] [--starts N] [--only PART]` writes results/platform.json.

router: the same call to the app on `bananastand serve`, and through the stand (its own API, a front, Banana's run URL),
one at a time in turns. drain: calls of 50 ms that wait in a queue, by 1, 2 and 4 replicas; ideal is their sum divided
by the replicas. start: from no replica to the first picture of the embedded model, forked, as a process, and `python
app.py` by itself. idle: the supervisor's processor time and memory with one replica standing by, before and after the
load.
Builds are not measured: each is a launch of a file in this checkout.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil

from ._command import parser
from ._load import http_request
from ._machine import ROOT, command, machine, quantile
from ._servers import end, free_port

HOSTS = Path(__file__).resolve().parent / "hosts"
PATHS = os.pathsep.join((str(ROOT), str(ROOT / "mocks")))
SLEEP = 0.05
PARTS = ("router", "drain", "start", "idle")
PROMPT = {"prompt": "a large yellow banana on a purple background", "num_inference_steps": 1, "seed": 1}
PATIENCE = 300.0


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        sys.exit(serve(json.loads(sys.argv[2])))
    arguments = parser(__doc__, "platform")
    arguments.add_argument("--calls", type=int, default=2000, help="by each way of the router part")
    arguments.add_argument("--queued", type=int, default=1000, help="calls of the drain part")
    arguments.add_argument("--starts", type=int, default=5, help="of each kind")
    arguments.add_argument("--seconds", type=float, default=30.0, help="of idling")
    arguments.add_argument("--only", choices=PARTS, action="append")
    options = arguments.parse_args()
    report: dict[str, Any] = {"command": command("benchmarks.platform"), "machine": machine("cpu", 1)}
    for part in options.only or PARTS:
        report[part] = globals()[f"measure_{part}"](options)
        print(f"{part}: {json.dumps(report[part])}", file=sys.stderr, flush=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def measure_router(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a call, in turns of 100 by each way."""
    front = free_port()
    with stand(fronts=[[front, "sleeper"]]) as up, served(HOSTS / "sleeper.py") as port:
        up.deploy("sleeper", HOSTS / "sleeper.py")
        up.settings("sleeper", min_replicas=1)
        ways = {
            "direct": (port, "/", {}),
            "front": (front, "/", {}),
            "stand": (up.port, "/stand/v1/projects/sleeper/call/", {"authorization": f"Bearer {up.key}"}),
            "banana": (up.port, "/banana/run/sleeper/", {"x-banana-api-key": up.key}),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for way in ways.values():
            asyncio.run(calls(*way, 50))
        while len(taken["banana"]) < options.calls:
            for name, way in ways.items():
                taken[name] += asyncio.run(calls(*way, 100))
    row: dict[str, Any] = {"calls": options.calls}
    for name, times in taken.items():
        ordered = sorted(times)
        row[name] = {f"p{share}_ms": round(quantile(ordered, share / 100) * 1000, 3) for share in (50, 99)}
    for name in ("front", "stand", "banana"):
        row[f"{name}_adds_p50_ms"] = round(row[name]["p50_ms"] - row["direct"]["p50_ms"], 3)
    return row


@contextlib.contextmanager
def served(file: Path) -> Iterator[int]:
    """The file on `bananastand serve`, by itself; the port."""
    port = free_port()
    command = [sys.executable, "-m", "bananastand", "serve", file.name, "--port", str(port), "--no-access-log"]
    environment = {**os.environ, "PYTHONPATH": PATHS}
    with subprocess.Popen(command, cwd=file.parent, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + PATIENCE
            while True:
                with contextlib.suppress(httpx2.HTTPError):
                    if httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                        break
                assert time.monotonic() < until, "it does not get ready"
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()


def measure_drain(options: argparse.Namespace) -> dict[str, Any]:
    """The share of the ideal, by replicas: from the first call's beginning to the last one's end, as recorded."""
    row: dict[str, Any] = {"queued": options.queued, "call_seconds": SLEEP}
    for replicas in (1, 2, 4):
        with stand() as up:
            up.deploy("sleeper", HOSTS / "sleeper.py")
            up.settings("sleeper", min_replicas=replicas, max_replicas=replicas)
            up.wait(lambda up=up, n=replicas: up.http.get("/stand/v1/projects/sleeper").json()["ready"] == n)
            row[str(replicas)] = drained(up, options.queued, replicas)
    return row


def drained(up: Up, queued: int, replicas: int) -> dict[str, float]:
    """Seconds for so many waiting calls by so many replicas that are ready, and the share of the ideal."""
    asyncio.run(queue(up, queued))
    up.wait(lambda: up.http.get("/stand/v1/status").json()["queued"] == 0)
    up.wait(lambda: up.http.get("/stand/v1/status").json()["running"] == 0)
    with contextlib.closing(sqlite3.connect(up.data / "stand.sqlite")) as database:
        text = f"SELECT begun, finished FROM calls WHERE state = 'succeeded' ORDER BY number DESC LIMIT {queued}"
        rows = database.execute(text).fetchall()
    assert len(rows) == queued, f"{len(rows)} of {queued} calls succeeded"
    seconds = max(finished for _, finished in rows) - min(begun for begun, _ in rows)
    return {"seconds": round(seconds, 3), "of_ideal": round(queued * SLEEP / replicas / seconds, 4)}


def measure_start(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds from nothing to the first picture's first byte, of each start the sorted list."""
    row: dict[str, Any] = {"python app.py": sorted(round(by_itself(), 3) for _ in range(options.starts))}
    for name, parents in (("forked", 1), ("process", 0)):
        with stand(settings={"fork_servers": parents}) as up:
            up.deploy("embedded", ROOT / "app.py")
            if parents:
                up.wait(lambda up=up: "is warm" in up.http.get("/stand/v1/projects/embedded/logs").text)
            taken = list[float]()
            for _ in range(options.starts):
                up.settings("embedded", idle_timeout=0)
                up.wait(lambda up=up: up.http.get("/stand/v1/projects/embedded").json()["replicas"] == 0)
                up.settings("embedded", idle_timeout=600)
                began = time.perf_counter()
                answer = up.http.post("/stand/v1/projects/embedded/call/", json=PROMPT)
                assert answer.status_code == 200, answer.text
                taken.append(time.perf_counter() - began)
            row[name] = sorted(round(seconds, 3) for seconds in taken)
            lines = up.http.get("/stand/v1/projects/embedded/logs").text.splitlines()
            row[f"{name} says"] = [text for line in lines if "ready after" in (text := json.loads(line)["line"])][-2:]
    middle = options.starts // 2
    row["times_faster"] = round(row["python app.py"][middle] / row["forked"][middle], 2)
    return row


def measure_idle(options: argparse.Namespace) -> dict[str, Any]:
    """Of the supervisor's process alone."""
    with stand() as up:
        up.deploy("sleeper", HOSTS / "sleeper.py")
        up.settings("sleeper", min_replicas=1)
        supervisor = psutil.Process(up.process.pid)
        row: dict[str, Any] = {"memory_mb": round(supervisor.memory_info().rss / 2**20, 1)}
        time.sleep(2)
        before = supervisor.cpu_times()
        time.sleep(options.seconds)
        after = supervisor.cpu_times()
        spent = after.user + after.system - before.user - before.system
        row["cpu_percent"] = round(100 * spent / options.seconds, 3)
        asyncio.run(calls(up.port, "/stand/v1/projects/sleeper/call/", {"authorization": f"Bearer {up.key}"}, 2000))
        row["memory_after_2000_calls_mb"] = round(supervisor.memory_info().rss / 2**20, 1)
    return row


class Up:
    """A stand in a process of its own. root: the checkout that it is of; module: with `--serve`."""

    def __init__(self, data: Path, *, root: Path = ROOT, module: str = "benchmarks.platform", **options: Any) -> None:
        self.data, self.port = data, free_port()
        paths = os.pathsep.join((str(root), str(root / "mocks")))
        encoded = json.dumps({"data": str(data), "port": self.port, **options})
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "--serve", encoded],
            cwd=root, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE, trust_env=False)
        self.wait(lambda: (data / "client.toml").exists() and self.http.get("/healthz").status_code == 200)
        self.key = tomllib.loads((data / "client.toml").read_text())["key"]
        self.http.headers["authorization"] = f"Bearer {self.key}"

    def wait(self, holds: Any) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert self.process.poll() is None, "the stand ended"
            with contextlib.suppress(httpx2.HTTPError):
                if holds():
                    return
            time.sleep(0.02)
        raise TimeoutError

    def deploy(self, name: str, file: Path) -> None:
        deployment = self.http.post(f"/stand/v1/projects/{name}/deploy", json={"source": str(file)}).json()
        self.wait(
            lambda: self.http.get(f"/stand/v1/builds/{deployment['build_id']}").json()["state"] in ("live", "failed")
        )
        built = self.http.get(f"/stand/v1/builds/{deployment['build_id']}").json()
        assert built["state"] == "live", built["error"]

    def settings(self, name: str, **changes: int) -> None:
        self.http.patch(f"/stand/v1/projects/{name}", json=changes).raise_for_status()


@contextlib.contextmanager
def stand(**options: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        up = Up(Path(folder) / "data", **options)
        try:
            yield up
        finally:
            stop(up)


def stop(up: Up) -> None:
    """End a stand in order, or else by force."""
    up.http.close()
    up.process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        up.process.wait(40)
    end(up.process)


def serve(options: dict[str, Any]) -> int:
    """The stand's process: a build is a launch of the file that the source names."""
    from bananastand.cli._platform_options import Options
    from bananastand.cli._platform_server import run
    from bananastand.platform.building.deployer import BuildRequest
    from bananastand.platform.launch import Launch

    async def build(order: BuildRequest) -> Launch:
        file = Path(order.source)
        environment = {"PYTHONPATH": PATHS, "BANANASTAND_DEVICE": "cpu"}
        return Launch("process", ("python", "-u", file.name), str(file.parent), environment, python=sys.executable)

    changed = options.pop("settings", {})
    fronts = tuple((port, name) for port, name in options.pop("fronts", ()))
    return run(Options(**{**options, "data": Path(options["data"]), "fronts": fronts}), build, **changed)


def by_itself() -> float:
    """Seconds from `python app.py` to its first picture."""
    port, began = free_port(), time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-u", "app.py"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PORT": str(port), "PYTHONPATH": PATHS, "BANANASTAND_DEVICE": "cpu"}, start_new_session=True,
    )  # fmt: skip
    try:
        while time.perf_counter() - began < PATIENCE:
            assert process.poll() is None, "app.py ended"
            with contextlib.suppress(httpx2.ConnectError):
                httpx2.post(f"http://127.0.0.1:{port}/", json=PROMPT, timeout=PATIENCE).raise_for_status()
                return time.perf_counter() - began
            time.sleep(0.01)
        raise TimeoutError
    finally:
        end(process)


async def calls(port: int, path: str, headers: dict[str, str], count: int) -> list[float]:
    """Seconds of each call, one after the other on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request, taken = http_request(port, "POST", path, b'{"prompt": "x"}', headers), list[float]()
    for _ in range(count):
        began = time.perf_counter()
        await _exchange(reader, writer, request)
        taken.append(time.perf_counter() - began)
    writer.close()
    return taken


async def queue(up: Up, count: int) -> None:
    """Have so many calls wait, through Banana's start, which comes back at once."""
    left = iter(range(count))
    inputs = {"seconds": SLEEP}
    body = {"apiKey": up.key, "modelKey": "sleeper", "modelInputs": inputs, "startOnly": True}

    async def one() -> None:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{up.port}", timeout=PATIENCE) as http:
            for _ in left:
                answer = await http.post("/banana/start/v4", json=body)
                assert answer.json()["callID"], answer.text

    await asyncio.gather(*(one() for _ in range(8)))


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.split(b" ", 2)[1] == b"200", head
    await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))


if __name__ == "__main__":
    main()
