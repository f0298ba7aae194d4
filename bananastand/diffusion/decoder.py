"""Latents to pictures: on a GPU beside the engine, on a thread and a stream of its own; on a CPU between its ticks.

Decodes of one shape go together, `rows` at most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from .families import StepFamily
from .job import Job

__all__ = ["Decoder"]


@dataclass(frozen=True, eq=False)
class _Finished:
    job: Job
    index: int
    latents: torch.Tensor
    ready: Any  # a CUDA event, or None


class Decoder:
    """Takes finished latents and hands each job its image.

    A CPU has nothing to spare for a second thread of torch's: libgomp, finding more threads than cores, no longer
    spins where they meet, and every forward takes twice as long.
    """

    def __init__(self, family: StepFamily, rows: int, delivered: Callable[[], None]) -> None:
        self._family, self._rows, self._delivered = family, rows, delivered
        self._queue: list[_Finished] = []
        self._lock = threading.Lock()
        beside = family.device.type == "cuda"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decoder") if beside else None
        self._stream: Any = torch.cuda.Stream(family.device) if beside else None

    def put(self, job: Job, index: int, latents: torch.Tensor) -> None:
        """Queue latents (1, channels, height, width) of picture `index` of the job."""
        ready = torch.cuda.current_stream(latents.device).record_event() if self._stream else None
        with self._lock:
            self._queue.append(_Finished(job, index, latents, ready))
        if self._thread is not None:
            self._thread.submit(self._decode)

    def settle(self) -> None:
        """On the engine's thread, after its steps: decode what has no thread to do it."""
        while self._thread is None and self._queue:
            self._decode()

    def _decode(self) -> None:
        """Decode the oldest and what is like it. Of as many calls as pictures, the last ones find nothing to do."""
        batch = self._take()
        if not batch:
            return
        try:
            with torch.inference_mode(), torch.cuda.stream(self._stream) if self._stream else nullcontext():
                images = self._images(batch)
            for one, image in zip(batch, images, strict=True):
                one.job.deliver(one.index, image)
        except BaseException as error:
            for one in batch:
                one.job.fail(error)
        self._delivered()

    def _take(self) -> list[_Finished]:
        with self._lock:
            wanted = [one for one in self._queue if not one.job.over]
            alike = [one for one in wanted if one.latents.shape == wanted[0].latents.shape][: self._rows]
            self._queue = [one for one in wanted if one not in alike]
        return alike

    def _images(self, batch: list[_Finished]) -> list[Image.Image]:
        for one in batch:
            if self._stream:
                self._stream.wait_event(one.ready)
                one.latents.record_stream(self._stream)
        return [Image.fromarray(pixels) for pixels in self._family.decode(torch.cat([one.latents for one in batch]))]
