"""The embedded model on shared processors: alone, beside busy processes, and three engines at once.

`python -m benchmarks.processors` paints the same pictures in a process of its own for each row, in turns, with threads
that sleep at barriers (what the platform and the engine choose) and with threads that spin there (OpenMP's default).
Writes results/processors.json and the pages' tables.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from typing import Any

from bananastand.threads import wait_policy

from ._command import parser, publish
from ._machine import machine, quantile

POLICIES = {"sleep": wait_policy({}), "spin": {"GOMP_SPINCOUNT": "300000"}}
BUSY = (0, 1, 2)
ENGINES = 3
PROMPT = "two small red apples on a blue background"


def main() -> None:
    arguments = parser(__doc__, "processors")
    arguments.add_argument("--pictures", type=int, default=15, help="in each process (default: %(default)s)")
    arguments.add_argument("--steps", type=int, default=10)
    arguments.add_argument("--rounds", type=int, default=2, help="each row so often (default: %(default)s)")
    arguments.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.one:
        print(json.dumps(paint(options.pictures, options.steps)))
        return
    rows: dict[str, dict[str, list[list[float]]]] = {policy: {} for policy in POLICIES}
    for number in range(options.rounds):
        for policy in POLICIES:
            for busy in BUSY:
                print(f"round {number + 1}: {policy}, beside {busy}", file=sys.stderr, flush=True)
                with busy_processes(busy):
                    rows[policy].setdefault(f"beside {busy}", []).extend(engines(1, policy))
            print(f"round {number + 1}: {policy}, {ENGINES} engines", file=sys.stderr, flush=True)
            rows[policy].setdefault(f"{ENGINES} engines", []).extend(engines(ENGINES, policy))
    report = {
        "machine": machine("cpu", os.cpu_count() or 1),
        "pictures": options.pictures,
        "steps": options.steps,
        "rows": {
            policy: {name: figures(name, runs) for name, runs in by_name.items()} for policy, by_name in rows.items()
        },
    }
    publish(report, options)


def figures(name: str, runs: list[list[float]]) -> dict[str, float]:
    """Seconds a picture over all runs; pictures a second of all engines that ran at once."""
    times = sorted(second for run in runs for second in run)
    at_once = ENGINES if name.endswith("engines") else 1
    return {
        "p50": round(statistics.median(times), 3),
        "worst": round(times[-1], 3),
        "p90": round(quantile(times, 0.9), 3),
        "pictures_per_second": round(at_once / statistics.mean(times), 3),
    }


def engines(count: int, policy: str) -> list[list[float]]:
    """Paint in so many processes at once; the seconds of each picture."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    words = [sys.executable, "-m", "benchmarks.processors", "--one", *sys.argv[1:]]
    running = [
        subprocess.Popen(words, env={**environment, **POLICIES[policy]}, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    found = list[list[float]]()
    for process in running:
        out, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"an engine ended with status {process.returncode}")
        found.append(json.loads(out.splitlines()[-1]))
    return found


@contextlib.contextmanager
def busy_processes(count: int) -> Generator[None]:
    """So many processes that do nothing but keep a processor busy."""
    running = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def paint(pictures: int, steps: int) -> list[float]:
    """Seconds of each picture."""
    from bananastand.diffusion import Engine, GenerationRequest

    engine = Engine.load("fruitstand")
    engine.warm_up()
    taken = list[Any]()
    for seed in range(pictures):
        started = time.perf_counter()
        body: dict[str, Any] = {"prompt": PROMPT, "seed": seed, "num_inference_steps": steps}
        engine.paint(GenerationRequest.parse(body, engine.model))
        taken.append(round(time.perf_counter() - started, 4))
    return taken


if __name__ == "__main__":
    main()
