"""Checks the settings of a project that say what a replica takes of its node."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

__all__ = ["RESOURCE_CHECKS"]

MAX_GPUS, MAX_GPU_MEMORY_GB = 64, 1024
MIN_SHARE = 0.01  # of a GPU
MEMORY_MB = (64, 16 * 2**20)
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
MAX_LABELS = 16


def _gpus_problem(value: Any) -> str | None:
    if value is None or (_is_number(value) and (value == 0 or MIN_SHARE <= value < 1)):
        return None
    if _is_number(value) and 1 <= value <= MAX_GPUS and value == int(value):
        return None
    return (
        f"must be a whole number from 0 to {MAX_GPUS}, a share of one GPU from {MIN_SHARE:g} such as 0.5, or null for "
        "one GPU if there are any"
    )


def _gpu_memory_problem(value: Any) -> str | None:
    if value is None or (_is_number(value) and 0 < value <= MAX_GPU_MEMORY_GB):
        return None
    return f"must be a number of GiB up to {MAX_GPU_MEMORY_GB}, or null for any"


def _memory_problem(value: Any) -> str | None:
    least, most = MEMORY_MB
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and least <= value <= most):
        return None
    return f"must be a whole number of MiB from {least} to {most}, or null for the platform's limit"


def _labels_problem(value: Any) -> str | None:
    labels = value.split(",") if isinstance(value, str) and value else []
    if isinstance(value, str) and len(labels) <= MAX_LABELS:
        pairs = [label.split("=") for label in labels]
        names = {pair[0] for pair in pairs}
        if len(names) == len(pairs) and all(len(pair) == 2 and all(map(LABEL.fullmatch, pair)) for pair in pairs):
            return None
    return f"must be up to {MAX_LABELS} labels of different names such as gpu=a100,zone=b, or empty for any node"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# By setting, a function that returns why a value is invalid; None for a valid one.
RESOURCE_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "gpus": _gpus_problem,
    "gpu_memory_gb": _gpu_memory_problem,
    "memory_mb": _memory_problem,
    "labels": _labels_problem,
}
