"""The metrics of fal's own analytics.

Nothing here starts, waits or breaks on a machine: what was not measured is null, what did not happen is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .state import Tally

__all__ = ["METRICS", "metrics_row"]

Metric = Callable[[Tally], float | None]


def metrics_row(endpoint_id: str, tally: Tally, metrics: list[str]) -> dict[str, Any]:
    """Returns a row with the requested metrics."""
    return {"endpoint_id": endpoint_id, **{name: METRICS[name](tally) for name in metrics}}


def _percentile(part: int, tally: Tally) -> float | None:
    """The duration, in seconds, that this part of the requests did not exceed."""
    if not tally.durations:
        return None
    ranked = sorted(tally.durations)
    return ranked[max(0, math.ceil(part / 100 * len(ranked)) - 1)]


def _none_happened(tally: Tally) -> float | None:
    return 0


def _not_measured(tally: Tally) -> float | None:
    return None


METRICS: Mapping[str, Metric] = {
    "request_count": lambda tally: tally.requests,
    "success_count": lambda tally: tally.requests - tally.errors,
    "error_count": lambda tally: tally.errors,
    "total_billable_duration": lambda tally: sum(tally.durations),
    **{f"p{part}_duration": partial(_percentile, part) for part in (25, 50, 75, 90, 95, 99)},
    **{f"p{part}_prepare_duration": _not_measured for part in (50, 75, 90, 95, 99)},
    **{f"p{part}_cold_boot_duration": _not_measured for part in (50, 75, 90)},
    "cold_boot_count": _none_happened,
    "user_error_count": _none_happened,
    **{f"{kind}_error_count": _none_happened for kind in ("startup", "connection", "timeout", "runtime")},
}
