"""Lists the NVIDIA GPUs of this machine, by the driver's management library (NVML)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pynvml

__all__ = ["list_device_numbers"]

NVML: Any = pynvml  # it has no type hints


def list_device_numbers() -> tuple[str, ...]:
    """Return the number of each GPU, as CUDA_VISIBLE_DEVICES takes it; empty on a machine without GPUs."""
    try:
        NVML.nvmlInit()
    except NVML.NVMLError:  # no driver, or a container that has CUDA without NVML
        names = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia*")]
        return tuple(sorted((name for name in names if name.isdigit()), key=int))
    try:
        return tuple(str(number) for number in range(NVML.nvmlDeviceGetCount()))
    finally:
        NVML.nvmlShutdown()
