"""The training pictures: drawn once by all cores into one array on disk, with their scenes beside it."""

from __future__ import annotations

import json
import multiprocessing
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.progress import track

from .draw import SIDE, render
from .scenes import Scene, training_scene

CHUNK = 250  # pictures one worker draws before it reports


def _draw(task: tuple[int, int, str, int]) -> tuple[int, list[Scene]]:
    seed, index, path, count = task
    pictures = np.lib.format.open_memmap(path, mode="r+", shape=(count, SIDE, SIDE, 3), dtype=np.uint8)
    scenes: list[Scene] = []
    for i in range(index * CHUNK, min((index + 1) * CHUNK, count)):
        rng = random.Random(f"{seed}/{i}")
        scenes.append(training_scene(rng))
        pictures[i] = render(scenes[-1], rng)
    return index, scenes


def prepare(folder: Path, count: int, seed: int) -> tuple[np.ndarray, list[Scene]]:
    """Draw `count` pictures into `folder`, or open what an earlier run drew. Returns (uint8 NHWC, scenes)."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures, scenes = folder / f"pictures-{seed}-{count}.npy", folder / f"scenes-{seed}-{count}.jsonl"
    if not scenes.exists():
        np.lib.format.open_memmap(pictures, mode="w+", shape=(count, SIDE, SIDE, 3), dtype=np.uint8).flush()
        tasks = [(seed, i, str(pictures), count) for i in range(-(-count // CHUNK))]
        drawn: dict[int, list[Scene]] = {}
        with multiprocessing.get_context("spawn").Pool() as pool:
            results: Iterator[tuple[int, list[Scene]]] = pool.imap_unordered(_draw, tasks)
            for index, part in track(results, total=len(tasks), description="drawing"):
                drawn[index] = part
        half = scenes.with_suffix(".part")
        half.write_text("".join(json.dumps(vars(s)) + "\n" for i in sorted(drawn) for s in drawn[i]))
        half.rename(scenes)
    labels = [Scene(**json.loads(line)) for line in scenes.read_text().splitlines()]
    return np.load(pictures, mmap_mode="r"), labels
