"""Lists the NVIDIA GPUs of this machine and their models, by the driver's management library (NVML)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml

__all__ = ["GpuModel", "list_device_numbers", "list_models"]

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


@dataclass(frozen=True, slots=True)
class GpuModel:
    """The model of a GPU.

    Attributes:
        label: Its name as a label, such as "a100-sxm4-80gb".
        memory_gb: Its memory, in GiB.
    """

    label: str
    memory_gb: float


def list_models() -> dict[str, GpuModel]:
    """Return the model of each GPU by its number, as far as the driver's management library knows."""
    try:
        NVML.nvmlInit()
    except NVML.NVMLError:
        return {}
    try:
        return {
            str(number): _model(NVML.nvmlDeviceGetHandleByIndex(number)) for number in range(NVML.nvmlDeviceGetCount())
        }
    except NVML.NVMLError:
        return {}
    finally:
        NVML.nvmlShutdown()


def _model(device: Any) -> GpuModel:
    name = NVML.nvmlDeviceGetName(device)
    name = name.decode() if isinstance(name, bytes) else name
    words = [word for word in re.findall(r"[a-z0-9]+", name.lower()) if word not in ("nvidia", "tesla")]
    return GpuModel("-".join(words), NVML.nvmlDeviceGetMemoryInfo(device).total / 2**30)
