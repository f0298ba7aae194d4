"""How many pictures one forward should hold: found by measurement, not by belief."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from .active_picture import ActivePicture
from .families import StepFamily
from .request import GenerationRequest

__all__ = ["cheapest_rows", "exact_rows"]

MOST = 16
GAIN = 0.95  # a doubling must make a picture at least this much cheaper


@torch.inference_mode()
def cheapest_rows(family: StepFamily, request: GenerationRequest) -> int:
    """Pictures like the request's in one forward, a power of two, beyond which more do not make each cheaper."""
    best, rows, picture = math.inf, 1, family.begin(request)[0]
    while rows <= MOST:
        try:
            seconds = min(_seconds(lambda n=rows: family.predict([picture] * n)) for _ in range(3)) / rows
        except torch.OutOfMemoryError:
            break
        if seconds > GAIN * best:
            break
        best, rows = seconds, rows * 2
    return max(1, rows // 2)


def exact_rows(family: StepFamily, request: GenerationRequest, rows: int) -> int:
    """The most pictures like the request's, up to `rows`, whose forward gives each the same in any place and company.

    To be asked for each size, and with and without guidance: most kernels treat each row alike, but some split the
    rows among threads in a way that does not, at six rows here and not at eight.
    """
    found = next((count for count in range(rows, 1, -1) if not _company_matters(family, request, count)), 1)
    if found < rows:
        text = "forwards of %d pictures of %d x %d are not exact here: those are painted %d at a time"
        logging.getLogger(__name__).warning(text, rows, request.width, request.height, found)
    return found


def _company_matters(family: StepFamily, request: GenerationRequest, count: int) -> bool:
    company = [family.begin(replace(request, seed=seed, num_images=1))[0] for seed in range(count)]
    first = company[0]
    try:
        expected = family.predict([first] * count)[0]
        return any(not torch.equal(expected, family.predict(_with(first, company, i))[i]) for i in range(count))
    except torch.OutOfMemoryError:
        return True


def _with(first: ActivePicture, company: list[ActivePicture], place: int) -> list[ActivePicture]:
    others = company[1:]
    return [*others[:place], first, *others[place:]]


def _seconds(work: Callable[[], list[torch.Tensor]]) -> float:
    started = time.perf_counter()
    work()[0].sum().item()  # the value is there only when the device has done
    return time.perf_counter() - started
