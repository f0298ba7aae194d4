"""Keeps the CPU at most one forward ahead of the device, and measures each forward."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from typing import Any

import torch

__all__ = ["Pace"]


class Pace:
    """Limits how far the CPU runs ahead of a CUDA device.

    Launching is not running: without a limit every step of a request could be launched before the first is done, and
    progress and cancellation would come too late. With a lead of one forward the device never waits.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._open: tuple[Any, Any, Callable[[float], None]] | None = None

    @contextlib.contextmanager
    def forward(self, took: Callable[[float], None]) -> Generator[None]:
        """Measure the forward inside the block; `took` receives its seconds, on CUDA when the next one begins."""
        if not self._cuda:
            started = time.perf_counter()
            yield
            took(time.perf_counter() - started)
            return
        self.settle()
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        yield
        end.record()
        self._open = start, end, took

    def settle(self) -> None:
        """Wait for the last forward and report its seconds."""
        if self._open is not None:
            start, end, took = self._open
            self._open = None
            end.synchronize()
            took(start.elapsed_time(end) / 1000)
