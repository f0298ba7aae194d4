"""Processor time of the platform for one call, of two or more checkouts side by side.

`python -m benchmarks.call_cost EARLIER_CHECKOUT... [--rounds N] [--calls N]` starts a platform of each checkout, the
earlier ones first and this one last, sends them calls in turns, one at a time, and writes results/call_cost.json: for
each way the median processor time and the median time of a call, and the median of the ratios to the first checkout,
round by round. Other programs that run meanwhile lengthen calls more than they lengthen processor time, so the result
names the machine's load.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ._command import parser
from ._machine import ROOT, machine
from ._servers import free_port
from .platform import Up, stop

HOSTS = Path("benchmarks", "hosts")
PROMPT = {"prompt": "x"}
START = {"modelKey": "sleeper", "modelInputs": PROMPT}


def main() -> None:
    arguments = parser(__doc__, "call_cost")
    arguments.add_argument("earlier", nargs="+", type=Path, help="folders of other checkouts")
    arguments.add_argument("--rounds", type=int, default=12)
    arguments.add_argument("--calls", type=int, default=200, help="of each way in a round")
    options = arguments.parse_args()
    load = [os.getloadavg()]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        platforms: list[tuple[str, Up, int]] = []
        for number, root in enumerate([*options.earlier, ROOT]):
            front, data = free_port(), Path(folder, str(number), "data")
            data.parent.mkdir()
            up = Up(data, root=root.resolve(), fronts=[[front, "sleeper"]])
            running.callback(stop, up)
            up.deploy("sleeper", root.resolve() / HOSTS / "sleeper.py")
            up.settings("sleeper", min_replicas=1)
            platforms.append((_commit(root), up, front))
        ways = {way: measure(platforms, way, options) for way in _requests(platforms[0][1], platforms[0][2])}
        load.append(os.getloadavg())
    report = {
        "what": "processor time of the platform's process for a call, and the time of a call, one at a time",
        "command": "python -m benchmarks.call_cost EARLIER_CHECKOUT...",
        "machine": machine("cpu", 1),
        "load_average_before_and_after": load,
        "ways": ways,
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def measure(platforms: list[tuple[str, Up, int]], way: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Microseconds of each checkout, in the order of the checkouts."""
    rounds: list[list[tuple[float, float]]] = [[] for _ in platforms]
    for number in range(-1, options.rounds):
        order = range(len(platforms)) if number % 2 else reversed(range(len(platforms)))
        for place in order:
            _, up, front = platforms[place]
            port, request = _requests(up, front)[way]
            began = _processor_time(up.process.pid)
            taken = _calls(port, request, options.calls)
            spent = _processor_time(up.process.pid) - began
            if number >= 0:  # the first round warms up
                rounds[place].append((spent / options.calls, statistics.median(taken)))
    rows = list[dict[str, Any]]()
    for (commit, _, _), own in zip(platforms, rounds, strict=True):
        row: dict[str, Any] = {"commit": commit}
        for index, name in enumerate(("processor", "call")):
            row[f"{name}_us"] = round(statistics.median(round[index] for round in own) * 1e6, 1)
            ratios = [mine[index] / first[index] for mine, first in zip(own, rounds[0], strict=True)]
            row[f"{name}_ratio"] = round(statistics.median(ratios), 3)
        rows.append(row)
        print(f"{way}: {row}", file=sys.stderr, flush=True)
    return rows


def _requests(up: Up, front: int) -> dict[str, tuple[int, bytes]]:
    bearer, token = {"authorization": f"Bearer {up.key}"}, f"at_r{up.key.replace('-', '')}"
    return {
        "front": (front, _request(front, "POST", "/", PROMPT)),
        "platform API": (up.port, _request(up.port, "POST", "/stand/v1/projects/sleeper/call/", PROMPT, bearer)),
        "run URL": (up.port, _request(up.port, "POST", "/banana/run/sleeper/", PROMPT, {"x-banana-api-key": up.key})),
        "start": (up.port, _request(up.port, "POST", "/banana/start/v4", {"apiKey": up.key, **START})),
        "models": (up.port, _request(up.port, "GET", f"/lowcodeapi/bananadev/v1/models/sleeper?api_token={token}")),
        "usage": (up.port, _request(up.port, "GET", f"/lowcodeapi/bananadev/v1/usage?api_token={token}")),
    }


def _request(port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> bytes:
    raw = json.dumps(body).encode() if body is not None else b""
    named = {"host": f"127.0.0.1:{port}", "content-length": str(len(raw)), **(headers or {})}
    if raw:
        named["content-type"] = "application/json"
    return "\r\n".join([f"{method} {path} HTTP/1.1", *map(": ".join, named.items()), "", ""]).encode() + raw


def _calls(port: int, request: bytes, count: int) -> list[float]:
    """Seconds of each call, one after the other on one connection."""
    taken, received = list[float](), b""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            began = time.perf_counter()
            connection.sendall(request)
            while b"\r\n\r\n" not in received:
                received += connection.recv(65536)
            head, _, received = received.partition(b"\r\n\r\n")
            assert head.split(b" ", 2)[1] == b"200", head
            size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            while len(received) < size:
                received += connection.recv(65536)
            received = received[size:]
            taken.append(time.perf_counter() - began)
    return taken


def _processor_time(pid: int) -> float:
    """Seconds that all threads of a process have run; Linux counts them in nanoseconds."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def _commit(root: Path) -> str:
    """Return the commit of a checkout, or its folder's name where it is an export."""
    done = subprocess.run(
        ["git", "-C", root, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or root.name


if __name__ == "__main__":
    main()
