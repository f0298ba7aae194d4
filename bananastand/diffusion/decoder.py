"""Decodes latents: on a GPU beside the engine, on a thread and a stream of its own; on a CPU between its ticks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from .families import Family
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

    On a CPU there is no second thread: with more threads than cores libgomp no longer spins at barriers, and every
    forward takes twice as long.

    Args:
        family: Decodes.
        batch_size: Most latents of one shape that are decoded together.
        on_delivered: Called after each decode.
    """

    def __init__(self, family: Family, batch_size: int, on_delivered: Callable[[], None]) -> None:
        self._family, self._batch_size, self._on_delivered = family, batch_size, on_delivered
        self._queue: list[_Finished] = []
        self._lock = threading.Lock()
        is_cuda = family.device.type == "cuda"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decoder") if is_cuda else None
        self._stream: Any = torch.cuda.Stream(family.device) if is_cuda else None

    def put(self, job: Job, index: int, latents: torch.Tensor) -> None:
        """Queue the latents of one picture, (1, channels, height, width).

        Args:
            job: Job of the picture.
            index: Number of the picture, from 0.
            latents: Latents after the last step.
        """
        ready = torch.cuda.current_stream(latents.device).record_event() if self._stream else None
        with self._lock:
            self._queue.append(_Finished(job, index, latents, ready))
        if self._thread is not None:
            self._thread.submit(self._decode)

    def settle(self) -> None:
        """Decode now where the decoder has no thread. Called on the engine's thread, after its steps."""
        while self._thread is None and self._queue:
            self._decode()

    def _decode(self) -> None:
        """Decode the oldest latents and those of its shape. There is a call for each picture; the last find nothing."""
        batch = self._take()
        if not batch:
            return
        try:
            with torch.inference_mode(), torch.cuda.stream(self._stream) if self._stream else nullcontext():
                images = self._images(batch)
            for finished, image in zip(batch, images, strict=True):
                finished.job.deliver(finished.index, image)
        except BaseException as error:
            for finished in batch:
                finished.job.fail(error)
        self._on_delivered()

    def _take(self) -> list[_Finished]:
        with self._lock:
            queue = [finished for finished in self._queue if not finished.job.over]
            alike = [finished for finished in queue if finished.latents.shape == queue[0].latents.shape]
            batch = alike[: self._batch_size]
            self._queue = [finished for finished in queue if finished not in batch]
        return batch

    def _images(self, batch: list[_Finished]) -> list[Image.Image]:
        for finished in batch:
            if self._stream:
                self._stream.wait_event(finished.ready)
                finished.latents.record_stream(self._stream)
        latents = torch.cat([finished.latents for finished in batch])
        return [Image.fromarray(pixels) for pixels in self._family.decode(latents)]
