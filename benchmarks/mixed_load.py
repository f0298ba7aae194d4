"""Short and long requests on one model: ours, under each policy, beside whole requests first come first served.

Seeded Poisson arrivals at 70 % of what the model can do, half of 4 steps, half of 50, on the embedded model, over
HTTP. `python -m benchmarks.mixed_load` plays the same arrivals to Potassium's own server, to LitServe with batches of
whole requests (`pip install litserve`; left out where it is missing), and to ours with each policy; it writes
results/mixed_load.json, a plot and the pages' tables.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import random
import statistics
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from ._command import parser, publish
from ._machine import ROOT, machine, quantile
from ._servers import end, free_port, start

SHORT, LONG = 4, 50
SERVE = ["-c", "from bananastand.cli import main; main()", "serve", "app.py", "--no-access-log"]
# name -> (command after python, environment)
SERVERS: dict[str, tuple[list[str], dict[str, str]]] = {
    "potassium": (["app.py"], {}),
    "litserve": (["benchmarks/hosts/litserve_painting_app.py"], {}),
    "ours, shortest": (SERVE, {"BANANASTAND_POLICY": "shortest"}),
    "ours, round-robin": (SERVE, {"BANANASTAND_POLICY": "round-robin"}),
    "ours, fifo": (SERVE, {"BANANASTAND_POLICY": "fifo"}),
}


def main() -> None:
    arguments = parser(__doc__, "mixed_load")
    arguments.add_argument("--requests", type=int, default=120)
    arguments.add_argument("--load", type=float, default=0.7, help="share of what one at a time can do")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--only", nargs="+", choices=list(SERVERS), default=list(SERVERS))
    options = arguments.parse_args()
    runs: dict[str, Any] = {}
    service: dict[int, float] = {}
    missing = [] if importlib.util.find_spec("litserve") else ["litserve"]
    for name in (name for name in options.only if name not in missing):
        with serving(name) as url:
            if not service:  # the reference, alone, is what the load is a share of
                service = {
                    steps: statistics.median(call(url, steps, seed) for seed in range(5)) for steps in (SHORT, LONG)
                }
            runs[name] = play(url, arrivals(options, service))
        print(f"{name}: {summary(runs[name])}", file=sys.stderr, flush=True)
    report = {
        "what": "latency in seconds of 4-step and 50-step requests that arrive mixed",
        "machine": machine("cpu", os.cpu_count() or 1),
        "requests": options.requests,
        "load": options.load,
        "seed": options.seed,
        "missing": missing,
        "alone": {str(steps): round(seconds, 4) for steps, seconds in service.items()},
        "servers": {name: summary(run) for name, run in runs.items()},
        "latencies": {name: {str(s): [round(t, 4) for t in run[s]] for s in run} for name, run in runs.items()},
    }
    plot(report, options.out.with_suffix(".png"))
    publish(report, options)


def arrivals(options: argparse.Namespace, service: dict[int, float]) -> list[tuple[float, int]]:
    """(seconds after the start, steps): the same for every server."""
    rng = random.Random(options.seed)
    rate = options.load / statistics.mean(service.values())
    at, arrivals = 0.0, list[tuple[float, int]]()
    kinds = [SHORT, LONG] * (options.requests // 2)
    rng.shuffle(kinds)
    for steps in kinds:
        at += rng.expovariate(rate)
        arrivals.append((at, steps))
    return arrivals


def play(url: str, planned: list[tuple[float, int]]) -> dict[int, list[float]]:
    """Send each request at its time, from a thread of its own; latencies by steps."""
    latencies: dict[int, list[float]] = {SHORT: [], LONG: []}
    started, threads = time.perf_counter(), list[threading.Thread]()

    def send(number: int, steps: int) -> None:
        latencies[steps].append(call(url, steps, number))

    for number, (at, steps) in enumerate(planned):
        time.sleep(max(0.0, started + at - time.perf_counter()))
        threads.append(threading.Thread(target=send, args=(number, steps)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert sum(map(len, latencies.values())) == len(planned), "a request failed"
    return latencies


def call(url: str, steps: int, seed: int) -> float:
    """Seconds of one request, connection included."""
    body = {"prompt": "two small red apples on a blue background", "num_inference_steps": steps, "seed": seed}
    started = time.perf_counter()
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        assert json.load(answer)["output"]
    return time.perf_counter() - started


def summary(run: dict[int, list[float]]) -> dict[str, float]:
    short, long = sorted(run[SHORT]), sorted(run[LONG])
    return {
        "mean": round(statistics.mean([*short, *long]), 3),
        "short_mean": round(statistics.mean(short), 3),
        "short_p99": round(quantile(short, 0.99), 3),
        "long_mean": round(statistics.mean(long), 3),
        "long_p99": round(quantile(long, 0.99), 3),
    }


@contextlib.contextmanager
def serving(name: str) -> Any:
    """The server of that name, warm."""
    words, environment = SERVERS[name]
    path, port = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}", free_port()
    process = start([sys.executable, *words], os.sched_getaffinity(0), PYTHONPATH=path, PORT=str(port), **environment)
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(600):
            assert process.poll() is None, f"{name} ended"
            with contextlib.suppress(OSError):
                call(url, SHORT, 0)
                break
            time.sleep(0.2)
        call(url, LONG, 0)
        yield url
    finally:
        end(process)


def plot(report: dict[str, Any], path: Path) -> None:
    """Share of requests answered within a time, short ones left, long ones right."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for axis, steps in zip(axes, (SHORT, LONG), strict=True):
        for name, by_steps in report["latencies"].items():
            ordered = sorted(by_steps[str(steps)])
            axis.step(ordered, [(i + 1) / len(ordered) for i in range(len(ordered))], where="post", label=name)
        axis.axvline(report["alone"][str(steps)], color="grey", linestyle=":", label="alone")
        axis.set(xscale="log", xlabel="seconds", title=f"{steps} steps")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("share answered within")
    axes[0].legend(fontsize=8)
    figure.suptitle(f"Mixed load at {report['load']:.0%}")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
