"""Exact mode's promise, a thousand times: the bytes of a picture painted in random company are those painted alone.

`python -m benchmarks.byte_equality` lets callers ask at random moments for pictures of random prompts, sizes, steps,
guidance and numbers, calls some of them off on their way, paints each that was answered again by itself in an engine
of its own, and counts the bytes of the PNG files that differ. Writes results/byte_equality.json and what the pages say
of it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import threading
import time
from typing import Any

import typer

from bananastand import cancel
from bananastand.diffusion import Engine, GenerationRequest, encode
from bananastand.diffusion.policy import POLICIES

from ._command import parser, publish
from ._machine import machine

FRUIT = ("banana", "apple", "orange", "pear", "strawberry", "cherries", "grapes")
COLOURS = ("red", "green", "blue", "yellow", "pink")


def main() -> None:
    arguments = parser(__doc__, "byte_equality")
    arguments.add_argument("--requests", type=int, default=1000)
    arguments.add_argument("--callers", type=int, default=16)
    arguments.add_argument("--rows", type=int, default=1, help="pictures of one forward (default: %(default)s)")
    arguments.add_argument("--policy", choices=list(POLICIES), default="shortest")
    arguments.add_argument("--device", default=None)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    crowded = Engine.load("fruitstand", device=options.device, batch_size=options.rows, policy=options.policy)
    crowded.warm_up()
    alone = Engine.load("fruitstand", device=options.device, batch_size=crowded.batch_size)
    rng = random.Random(options.seed)
    requests = [wish(rng, crowded) for _ in range(options.requests)]
    answered, cancelled = in_company(crowded, requests, options)
    report: dict[str, Any] = {
        "what": "PNG bytes of pictures painted in random company against the same painted alone, exact mode",
        "machine": machine(crowded.device, os.cpu_count() or 1),
        "requests": len(requests),
        "cancelled": cancelled,
        "callers": options.callers,
        "rows": crowded.batch_size,
        "policy": options.policy,
        "seed": options.seed,
        **compare(alone, requests, answered),
    }
    publish(report, options)
    sys.exit(report["bytes_that_differ"] > 0)


def wish(rng: random.Random, engine: Engine) -> GenerationRequest:
    body = {
        "prompt": f"{rng.choice(('a', 'two', 'three'))} {rng.choice(COLOURS)} {rng.choice(FRUIT)}",
        "num_inference_steps": rng.randint(1, 8),
        "guidance_scale": rng.choice((0, 1.5, 2.5, 4)),
        "width": rng.choice((96, 128, 128, 128)),
        "num_images": rng.choice((1, 1, 1, 2)),
        "seed": rng.randrange(2**32),
    }
    return GenerationRequest.parse(body, engine.model)


def in_company(
    engine: Engine, requests: list[GenerationRequest], options: argparse.Namespace
) -> tuple[dict[int, list[bytes]], int]:
    """PNG files by request; one in ten is called off at some step."""
    answered: dict[int, list[bytes]] = {}
    waiting, lock, cancelled = list(enumerate(requests)), threading.Lock(), list[int]()

    def caller(number: int) -> None:
        rng = random.Random(options.seed * 1000 + number)
        while True:
            with lock:
                if not waiting:
                    return
                index, request = waiting.pop(0)
                bar.update(1)
            job = engine.submit(request)
            if rng.random() < 0.1:
                time.sleep(rng.uniform(0, 0.5))
                job.cancel()
            with contextlib.suppress(cancel.Cancelled):
                answered[index] = files(job.result())
                continue
            cancelled.append(index)

    with typer.progressbar(length=len(requests), label="in company", file=sys.stderr) as bar:
        threads = [threading.Thread(target=caller, args=(number,)) for number in range(options.callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answered) + len(cancelled) == len(requests), "a request was lost"
    return answered, len(cancelled)


def compare(engine: Engine, requests: list[GenerationRequest], answered: dict[int, list[bytes]]) -> dict[str, int]:
    """Paint each again with nobody else there."""
    differ = pictures = compared = 0
    with typer.progressbar(sorted(answered.items()), label="alone", file=sys.stderr) as bar:
        for index, seen in bar:
            for one, other in zip(seen, files(engine.paint(requests[index])), strict=True):
                pictures += 1
                compared += len(one)
                differ += abs(len(one) - len(other)) + sum(a != b for a, b in zip(one, other, strict=False))
    return {"pictures": pictures, "bytes_compared": compared, "bytes_that_differ": differ}


def files(painting: Any) -> list[bytes]:
    return [encode(picture.image, "png") for picture in painting.pictures]


if __name__ == "__main__":
    main()
