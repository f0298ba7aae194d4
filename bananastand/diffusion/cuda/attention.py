"""cuDNN's attention, for the shapes where it is faster than torch's choice."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from .wrapper import Wrapper

__all__ = ["PreferredAttention"]

CUDNN_FIRST = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
TRIES = 3  # timed forwards with each kernel; the fastest counts


class PreferredAttention(Wrapper):
    """Measures both kernels once for each shape of the latents, then uses the faster one."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self._cudnn: dict[Hashable, bool] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the forward with the faster kernel, measured on the first call of each shape."""
        first = args[0] if args else kwargs["hidden_states"]
        key = (first.shape, first.dtype)
        if key not in self._cudnn:
            torch_choice, cudnn = (self._milliseconds(choice, args, kwargs) for choice in (False, True))
            self._cudnn[key] = cudnn < torch_choice
        return self._call(self._cudnn[key], args, kwargs)

    def _call(self, cudnn: bool, args: Any, kwargs: Any) -> Any:
        if not cudnn:
            return self.inner(*args, **kwargs)
        with sdpa_kernel(CUDNN_FIRST, set_priority=True):
            return self.inner(*args, **kwargs)

    def _milliseconds(self, cudnn: bool, args: Any, kwargs: Any) -> float:
        times = list[float]()
        for _ in range(TRIES + 1):  # the first may compile
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            self._call(cudnn, args, kwargs)
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
        return min(times[1:])
