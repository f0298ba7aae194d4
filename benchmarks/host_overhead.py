"""What a server costs a handler that does nothing: Potassium's own, LitServe, BentoML, Ray Serve, FastAPI and ours,
beside uvicorn alone, on which ours stands.

`python -m benchmarks.host_overhead` runs one server at a time, Potassium's first and last, each on one core and the
load on another, and writes results/host_overhead.json and the pages' tables. Servers that are not installed are
named as missing (`pip install litserve bentoml 'ray[serve]'`, best in an environment of their own: --python).
Potassium's server keeps four files open for each request: a run with failures has met the system's limit, and wants
fewer --seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ._command import parser, publish
from ._load import first_answer, http_request, load
from ._machine import ROOT, machine
from ._servers import end, free_port, memory, start

HOSTS = Path(__file__).parent / "hosts"
BODY = b'{"prompt": "two small red apples on a blue background"}'
WORD = b"apples"  # in each answer
CONNECTIONS = (1, 16)
START = 120.0  # seconds to listen

# name -> (module that must be there, command after python, what tells that it is ready)
SERVERS: dict[str, tuple[str, list[str]]] = {
    "potassium": ("potassium", [str(HOSTS / "potassium_app.py")]),
    "bananastand": (
        "potassium",
        ["-c", "from bananastand.cli import main; main()", "serve", str(HOSTS / "potassium_app.py")],
    ),
    "uvicorn": ("uvloop", [str(HOSTS / "uvicorn_app.py")]),
    "fastapi": ("fastapi", [str(HOSTS / "fastapi_app.py")]),
    "litserve": ("litserve", [str(HOSTS / "litserve_app.py")]),
    "bentoml": ("bentoml", ["-m", "bentoml", "serve", "benchmarks.hosts.bentoml_app:Noop"]),
    "ray serve": ("ray", [str(HOSTS / "ray_app.py")]),
}
ORDER = (
    "potassium",
    "bananastand",
    "uvicorn",
    "fastapi",
    "litserve",
    "bentoml",
    "ray serve",
    "bananastand",
    "potassium",
)


def main() -> None:
    arguments = parser(__doc__, "host_overhead")
    arguments.add_argument("--seconds", type=float, default=10, help="of load for each number of connections")
    arguments.add_argument("--python", default=sys.executable, help="interpreter that has the servers")
    arguments.add_argument("--only", nargs="+", choices=list(SERVERS), default=list(SERVERS))
    options = arguments.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    runs: dict[str, list[dict[str, Any]]] = {}
    missing = list[str]()
    for name in (name for name in ORDER if name in options.only):
        module, _ = SERVERS[name]
        if subprocess.run([options.python, "-c", f"import {module}"], capture_output=True, check=False).returncode:
            missing.append(name)
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        runs.setdefault(name, []).append(measure(name, options, set(cores[1:]) or set(cores)))
        print(f"{name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    report = {
        "what": "requests per second and latency of a handler that does nothing, keep-alive, one server at a time",
        "command": f"python -m benchmarks.host_overhead --seconds {options.seconds:g}",
        "machine": machine("cpu", 1),
        "versions": versions(options.python, sorted(runs)),
        "missing": sorted(set(missing)),
        "runs": runs,
    }
    publish(report, options)


def measure(name: str, options: argparse.Namespace, cores: set[int]) -> dict[str, Any]:
    """Start the server, load it, stop it."""
    port = free_port()
    command = [options.python, *SERVERS[name][1]]
    if name == "bananastand":
        command += ["--port", str(port), "--no-access-log"]
    if name == "bentoml":
        command += ["--port", str(port)]
    request, begun = http_request(port, "POST", "/", BODY), time.perf_counter()
    process = start(command, cores, PORT=str(port), PYTHONPATH=str(ROOT), RAY_DEDUP_LOGS="0")
    try:
        listening = _until(port, begun, process)
        ready = first_answer(port, request, WORD, begun, process)
        row: dict[str, Any] = {"seconds_to_listening": round(listening, 3), "seconds_to_answer": round(ready, 3)}
        load(port, 4, 2.0, request, WORD)
        row["memory_mb"] = memory(process.pid)
        for connections in CONNECTIONS:
            row[str(connections)] = load(port, connections, options.seconds, request, WORD)
        row["memory_after_mb"] = memory(process.pid)
        return row
    finally:
        end(process)
        if name == "ray serve":
            subprocess.run(
                [options.python, "-m", "ray.scripts.scripts", "stop", "--force"], capture_output=True, check=False
            )


def _until(port: int, started: float, process: subprocess.Popen[bytes]) -> float:
    while time.perf_counter() - started < START:
        assert process.poll() is None, "the server ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return time.perf_counter() - started
        time.sleep(0.002)
    raise TimeoutError("the server never listened")


def versions(python: str, names: list[str]) -> dict[str, str]:
    """Of the packages of the servers that ran."""
    code = (
        "import json, sys\nfrom importlib import metadata\n"
        "print(json.dumps({n: metadata.version(n) for n in sys.argv[1:]}))"
    )
    packages = sorted({SERVERS[name][0] for name in names} | {"uvicorn"})
    return json.loads(
        subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, check=True).stdout
    )


if __name__ == "__main__":
    main()
