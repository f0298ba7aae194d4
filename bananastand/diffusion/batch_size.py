"""Measures how many pictures one forward should hold."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

import torch

from .families import Family
from .request import GenerationRequest

__all__ = ["cheapest_batch_size", "exact_batch_size"]

LARGEST = 16
GAIN = 0.95  # a doubling must make a picture at least this much cheaper


@torch.inference_mode()
def cheapest_batch_size(family: Family, request: GenerationRequest) -> int:
    """Return the batch size, a power of two, beyond which more pictures do not make each cheaper.

    Args:
        family: The family to measure.
        request: Pictures like this request's are measured.
    """
    best, size, picture = math.inf, 1, family.begin(request)[0]
    while size <= LARGEST:
        try:
            seconds = min(_seconds(lambda n=size: family.predict([picture] * n)) for _ in range(3)) / size
        except torch.OutOfMemoryError:
            break
        if seconds > GAIN * best:
            break
        best, size = seconds, size * 2
    return max(1, size // 2)


def exact_batch_size(family: Family, request: GenerationRequest, largest: int) -> int:
    """Return the greatest batch size whose forward paints a picture alike in every place and beside any others.

    Measure it for each size, with and without guidance: most kernels treat the rows of a batch alike, but some split
    them among threads in a way that does not, at six rows and not at eight.

    Args:
        family: The family to measure.
        request: Pictures like this request's are measured.
        largest: Greatest batch size to try.
    """
    found = next((size for size in range(largest, 1, -1) if not _place_matters(family, request, size)), 1)
    if found < largest:
        text = "forwards of %d pictures of %d x %d are not exact here: those are painted %d at a time"
        logging.getLogger(__name__).warning(text, largest, request.width, request.height, found)
    return found


def _place_matters(family: Family, request: GenerationRequest, size: int) -> bool:
    first, *others = [
        family.begin(request.model_copy(update={"seed": seed, "num_images": 1}))[0] for seed in range(size)
    ]
    try:
        expected = family.predict([first] * size)[0]
        batches = ([*others[:place], first, *others[place:]] for place in range(size))
        return any(not torch.equal(expected, family.predict(batch)[place]) for place, batch in enumerate(batches))
    except torch.OutOfMemoryError:
        return True


def _seconds(forward: Callable[[], list[torch.Tensor]]) -> float:
    started = time.perf_counter()
    forward()[0].sum().item()  # the value exists only once the device is done
    return time.perf_counter() - started
