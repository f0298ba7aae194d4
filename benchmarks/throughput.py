"""Pictures per second with 1 to 16 requests at once, in exact mode with one and with four rows, and in fast mode.

`python -m benchmarks.throughput` calls the engine from as many threads as there are requests, on the embedded model,
and writes results/throughput.json, a plot and the pages' tables. Exact with one row at one request is "one at a time".
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ._command import parser, publish
from ._machine import machine

AT_ONCE = (1, 2, 4, 8, 16)
MODES: dict[str, dict[str, Any]] = {
    "exact, 1 row": {"mode": "exact", "batch_size": 1},
    "exact, 4 rows": {"mode": "exact", "batch_size": 4},
    "fast": {"mode": "fast"},
}


def main() -> None:
    arguments = parser(__doc__, "throughput")
    arguments.add_argument("--seconds", type=float, default=15, help="of each measurement")
    arguments.add_argument("--steps", type=int, default=10)
    arguments.add_argument("--device", default=None)
    options = arguments.parse_args()
    from bananastand.diffusion import Engine

    curves: dict[str, dict[str, float]] = {}
    rows: dict[str, int] = {}
    device = "cpu"
    for name, chosen in MODES.items():
        engine = Engine.load("fruitstand", device=options.device, **chosen)
        engine.warm_up()
        rows[name], device = engine.batch_size, engine.device
        curves[name] = {}
        for count in AT_ONCE:
            curves[name][str(count)] = round(measure(engine, count, options), 3)
            print(f"{name}, {count} at once: {curves[name][str(count)]} pictures/s", file=sys.stderr, flush=True)
        del engine  # with its thread, beside which the next would paint slower
        gc.collect()
    report = {
        "what": "pictures per second by requests at once",
        "machine": machine(device, os.cpu_count() or 1),
        "steps": options.steps,
        "rows": rows,
        "pictures_per_second": curves,
    }
    plot(report, options.out.with_suffix(".png"))
    publish(report, options)


def measure(engine: Any, count: int, options: argparse.Namespace) -> float:
    """Pictures per second with `count` callers, each with one request at a time."""
    from bananastand.diffusion import GenerationRequest

    until = time.perf_counter() + options.seconds

    def caller(number: int) -> int:
        painted = 0
        while time.perf_counter() < until:
            body = {"prompt": f"{number % 3 + 1} red apples", "num_inference_steps": options.steps, "seed": painted}
            engine.paint(GenerationRequest.parse(body, engine.model))
            painted += 1
        return painted

    started = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        painted = sum(pool.map(caller, range(count)))
    return painted / (time.perf_counter() - started)


def plot(report: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, curve in report["pictures_per_second"].items():
        axis.plot(list(map(int, curve)), list(curve.values()), marker="o", label=name)
    axis.set(xscale="log", xlabel="requests at once", ylabel="pictures per second", ylim=(0, None))
    axis.set_xticks(AT_ONCE, [str(count) for count in AT_ONCE])
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
