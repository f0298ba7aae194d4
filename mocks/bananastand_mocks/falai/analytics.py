"""The metrics of fal's own analytics: numbers all of them; what was not measured or did not happen is 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any

from .state import Tally

__all__ = ["METRICS", "metrics_row"]

Metric = Callable[[Tally], float]


def metrics_row(endpoint_id: str, tally: Tally, metrics: list[str]) -> dict[str, Any]:
    """Returns a row with the requested metrics."""
    return {"endpoint_id": endpoint_id, **{name: METRICS[name](tally) for name in metrics}}


def _percentile(part: int, measured: Callable[[Tally], list[float]], tally: Tally) -> float:
    """The seconds that this part of the requests did not exceed."""
    ranked = sorted(measured(tally))
    return ranked[max(0, math.ceil(part / 100 * len(ranked)) - 1)] if ranked else 0.0


def _none_happened(tally: Tally) -> float:
    return 0


METRICS: Mapping[str, Metric] = {
    "request_count": lambda tally: tally.requests,
    "success_count": lambda tally: tally.requests - tally.errors - tally.user_errors,
    "user_error_count": lambda tally: tally.user_errors,
    "error_count": lambda tally: tally.errors,
    "total_billable_duration": lambda tally: sum(tally.durations),
    **{f"p{part}_duration": partial(_percentile, part, attrgetter("durations")) for part in (25, 50, 75, 90, 95, 99)},
    **{f"p{part}_prepare_duration": partial(_percentile, part, attrgetter("waits")) for part in (50, 75, 90, 95, 99)},
    **{f"p{part}_cold_boot_duration": _none_happened for part in (50, 75, 90)},
    "cold_boot_count": _none_happened,
    **{f"{kind}_error_count": _none_happened for kind in ("startup", "connection", "timeout")},
    "runtime_error_count": lambda tally: tally.errors,
}
