"""Our engine beside the stock diffusers pipeline: one picture at a time, same weights, steps, threads and machine.

`python -m benchmarks.embedded` runs each in processes of its own, the stock pipeline first and last, and between them
our loop without the engine, to see what the engine itself costs. Writes results/embedded.json and the pages' tables.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from ._command import parser, publish
from ._machine import machine, quantile

ORDER = ("stock", "ours", "loop", "stock", "loop", "ours", "stock")
PROMPT = "two small red apples on a blue background"


def main() -> None:
    arguments = parser(__doc__, "embedded")
    arguments.add_argument("--pictures", type=int, default=100, help="in each process (default: %(default)s)")
    arguments.add_argument("--steps", type=int, default=10)
    arguments.add_argument("--guidance", type=float, default=None, help="default: the model's")
    arguments.add_argument("--device", default=None, help="cpu, cuda or mps (default: the best here)")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--one", choices=set(ORDER), help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.one:
        print(json.dumps(paint(options)))
        return
    runs: dict[str, list[dict[str, Any]]] = {"stock": [], "ours": [], "loop": []}
    for number, name in enumerate(ORDER):
        print(f"{number + 1} of {len(ORDER)}: {name}, {options.pictures} pictures", file=sys.stderr, flush=True)
        words = [sys.executable, "-m", "benchmarks.embedded", "--one", name, *sys.argv[1:]]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        runs[name].append(json.loads(done.stdout.splitlines()[-1]))
    publish(report(options, runs), options)


def report(options: argparse.Namespace, runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """p50 and p99 in seconds over all processes of a kind, each process's p50, and memory in MB."""
    rows = {}
    for name, processes in runs.items():
        times = sorted(t for run in processes for t in run["seconds"])
        rows[name] = {
            "p50": round(statistics.median(times), 4),
            "p99": round(quantile(times, 0.99), 4),
            "p50_of_each_process": [round(statistics.median(run["seconds"]), 4) for run in processes],
            "memory_mb": round(max(run["memory_mb"] for run in processes)),
            "gpu_memory_mb": round(max(run["gpu_memory_mb"] for run in processes)),
        }
    return {
        "what": "one picture at a time by our engine, by our loop without it and by the stock diffusers pipeline",
        "model": "fruitstand",
        "dtype": "float32",
        "steps": options.steps,
        "guidance": runs["ours"][0]["guidance"],
        "pictures": sum(len(run["seconds"]) for run in runs["ours"]),
        "machine": machine(runs["ours"][0]["device"], options.threads),
        "stock": rows["stock"],
        "ours": rows["ours"],
        "loop": rows["loop"],
        "ratio": round(rows["ours"]["p50"] / rows["stock"]["p50"], 3),
        "ratio_to_loop": round(rows["ours"]["p50"] / rows["loop"]["p50"], 3),
    }


def paint(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each picture in this process, after ten to warm up, and its peak memory."""
    import torch

    from bananastand.diffusion.loading import best_device

    torch.set_num_threads(options.threads)
    device = options.device or best_device()
    guidance, once = {"ours": _ours, "loop": _loop, "stock": _stock}[options.one](options, device)
    seconds = list[float]()
    for seed in range(-10, options.pictures):
        started = time.perf_counter()
        once(abs(seed))
        if seed >= 0:
            seconds.append(time.perf_counter() - started)
    return {
        "device": device,
        "guidance": guidance,
        "seconds": seconds,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 2**20),
        "gpu_memory_mb": torch.cuda.max_memory_allocated() / 2**20 if device.startswith("cuda") else 0,
    }


def _ours(options: argparse.Namespace, device: str) -> tuple[float, Callable[[int], object]]:
    engine, guidance, request = _engine(options, device)
    return guidance, lambda seed: engine.paint(request(seed))


def _loop(options: argparse.Namespace, device: str) -> tuple[float, Callable[[int], object]]:
    import torch
    from PIL import Image

    engine, guidance, request = _engine(options, device)
    family: Any = engine.family

    def once(seed: int) -> object:
        with torch.inference_mode():
            picture = family.begin(request(seed))[0]
            while not picture.finished:
                picture.step(family.predict([picture])[0])
            return Image.fromarray(family.decode(picture.latents)[0])

    return guidance, once


def _engine(options: argparse.Namespace, device: str) -> tuple[Any, float, Callable[[int], Any]]:
    """The engine, the guidance, and what makes the request of a seed."""
    from bananastand.diffusion import Engine, GenerationRequest

    engine = Engine.load("fruitstand", device=device, dtype="float32")
    guidance = engine.model.guidance.default if options.guidance is None else options.guidance
    body = {"prompt": PROMPT, "num_inference_steps": options.steps, "guidance_scale": guidance}
    return engine, guidance, lambda seed: GenerationRequest.parse({**body, "seed": seed}, engine.model)


def _stock(options: argparse.Namespace, device: str) -> tuple[float, Callable[[int], object]]:
    import torch
    from diffusers import DiffusionPipeline

    from bananastand.diffusion import find_model

    model = find_model("fruitstand")
    pipeline = DiffusionPipeline.from_pretrained(model.local_folder(), torch_dtype=torch.float32, local_files_only=True)
    pipeline.to(device).set_progress_bar_config(disable=True)
    guidance = model.guidance.default if options.guidance is None else options.guidance

    def once(seed: int) -> object:
        return pipeline(
            PROMPT,
            num_inference_steps=options.steps,
            guidance_scale=guidance,
            generator=torch.Generator("cpu").manual_seed(seed),
        ).images[0]

    return guidance, once


if __name__ == "__main__":
    main()
