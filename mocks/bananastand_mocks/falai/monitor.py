"""What an instance's meters show (C:366-368).

The values are a function of instance, metric and moment alone: the same question has the same answer.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["INTERVAL", "METRICS", "Metric", "points"]

INTERVAL = 60  # seconds between two points
MOST_POINTS = 60  # points at most


@dataclass(frozen=True, slots=True)
class Metric:
    """A meter, its unit, and between what it moves."""

    name: str
    unit: str
    low: float
    high: float


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("cpu", "percent", 5, 85),
        Metric("memory", "percent", 30, 70),
        Metric("gpu", "percent", 0, 100),
        Metric("disk", "percent", 20, 25),
        Metric("network", "megabytes_per_second", 0, 120),
    )
}


def points(instance_id: str, metric: Metric, runs: Sequence[Sequence[float]], now: float) -> list[dict[str, Any]]:
    """A point a minute from the beginning of each run to its end, the latest of them, oldest first."""
    moments: list[float] = []
    for start, end in runs:
        skipped = max(0, math.floor((end - start) / INTERVAL) + 1 - MOST_POINTS)
        at = start + skipped * INTERVAL
        while at <= min(end, now):
            moments.append(at)
            at += INTERVAL
    return [
        {"timestamp": datetime.fromtimestamp(at, UTC).isoformat(), "value": _value(instance_id, metric, at)}
        for at in moments[-MOST_POINTS:]
    ]


def _value(instance_id: str, metric: Metric, at: float) -> float:
    """A slow wave, shifted for each instance and metric."""
    phase = zlib.crc32(f"{instance_id} {metric.name}".encode()) % 1000
    return round(metric.low + (metric.high - metric.low) * (0.5 + 0.5 * math.sin(at / 600 + phase)), 3)
