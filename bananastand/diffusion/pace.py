"""Keeps the CPU at most one forward ahead of the device, and says how long each forward took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from typing import Any

import torch

__all__ = ["Pace"]


class Pace:
    """On CUDA, launching is not running. Without a limit every step of a request could be launched before its first
    is done: progress would lie, and a cancel come too late. With one forward of lead the device never waits.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._open: tuple[Any, Any, Callable[[float], None]] | None = None

    @contextlib.contextmanager
    def forward(self, took: Callable[[float], None]) -> Generator[None]:
        """Around one forward; `took` hears its seconds, on CUDA when the next one begins."""
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
        """Wait for the last forward."""
        if self._open is not None:
            start, end, took = self._open
            self._open = None
            end.synchronize()
            took(start.elapsed_time(end) / 1000)
