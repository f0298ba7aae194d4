"""Usage (C:121-148) and analytics (C:384-386), computed from what was called."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.world import World
from .paging import page
from .pricing import hourly
from .state import Tally, catalogue, find_model
from .tallies import COMPUTE, Tallies, per_bucket, total
from .window import Window, moment

__all__ = ["BUCKETS", "Serialize", "requested_range", "get_analytics", "get_usage", "rows", "series", "usage_row"]

BUCKETS = 1000
DAY = timedelta(days=1)

Serialize = Callable[[str, Tally], dict[str, Any]]


def get_usage(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """Requests and costs by bucket and in sum, of one model or all. Raises ProviderError: invalid, not_found."""
    return _respond(world, parameters, lambda name, tally: {**usage_row(name, tally), "requests": tally.requests})


def get_analytics(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """One metric or all, by bucket and in sum. Raises ProviderError: invalid, not_found."""
    metrics = [parameters["metric"]] if "metric" in parameters else list(METRICS)
    return _respond(
        world,
        parameters,
        lambda name, tally: {"endpoint_id": name, **{metric: METRICS[metric](name, tally) for metric in metrics}},
    )


def requested_range(world: World, start: datetime | None, end: datetime | None) -> tuple[datetime, datetime, bool]:
    """The window's ends, the last 24 hours by default, and whether it ends now. Raises ProviderError: invalid."""
    if start is not None and end is not None and start > end:
        raise ProviderError("invalid", "the window ends before it starts")
    now = world.clock.moment()
    last = end or max(now, start or now)
    return start or last - DAY, last, end is None


def series(
    world: World, window: Window, parameters: dict[str, Any], endpoint_ids: set[str], serialize: Serialize
) -> dict[str, Any]:
    """The page of buckets that the parameters ask for; one in which nothing happened has no results."""
    buckets = page(window.count, parameters, BUCKETS, most=BUCKETS)
    return {
        "time_series": [
            {"bucket": begins.isoformat(), "results": rows(sums, endpoint_ids, serialize)}
            for begins, sums in per_bucket(world, window, buckets)
        ],
        "next_cursor": buckets.next_cursor,
        "has_more": buckets.has_more,
    }


def rows(sums: Tallies, endpoint_ids: set[str], serialize: Serialize) -> list[dict[str, Any]]:
    """Returns a row for each of the endpoints, all if there are no ids, in the order of their names."""
    return [serialize(name, sums[name]) for name in sorted(sums) if not endpoint_ids or name in endpoint_ids]


def usage_row(endpoint_id: str, tally: Tally) -> dict[str, Any]:
    """A row as fal's own API gives it."""
    unit, unit_price = _price(endpoint_id)
    cost = round(tally.quantity * unit_price, 6)
    return {
        "endpoint_id": endpoint_id,
        "unit": unit,
        "quantity": round(tally.quantity, 6),
        "unit_price": unit_price,
        "percent_discount": None,
        "cost_subtotal": cost,
        "cost_discount": 0,
        "cost_total": cost,
        "cost": cost,
        "currency": "USD",
    }


def _respond(world: World, parameters: dict[str, Any], serialize: Serialize) -> dict[str, Any]:
    """Document C's response: the series and the summary. Both days are included (C:138-139)."""
    start = moment(parameters["start_date"]) if "start_date" in parameters else None
    end = _end(parameters["end_date"]) if "end_date" in parameters else None
    first, last, open_end = requested_range(world, start, end)
    window = Window(first, last, open_end=open_end)
    endpoint_ids = {_countable(parameters["model_id"])} if "model_id" in parameters else set[str]()
    summary = rows(total(world, window), endpoint_ids, serialize)
    return {**series(world, window, parameters, endpoint_ids, serialize), "summary": summary}


def _end(text: str) -> datetime:
    """The end of a day, or the moment itself."""
    return moment(text) if "T" in text else moment(text) + DAY


def _countable(endpoint_id: str) -> str:
    """A model's id, or the name under which instances of a type are counted. Raises ProviderError: not_found."""
    return endpoint_id if endpoint_id.startswith(COMPUTE) else find_model(endpoint_id)["endpoint_id"]


def _price(endpoint_id: str) -> tuple[str, float]:
    if endpoint_id.startswith(COMPUTE):
        return "hours", hourly(endpoint_id.removeprefix(COMPUTE))
    row = catalogue()[endpoint_id]
    return row["unit"], row["unit_price"]


def _latency(_: str, tally: Tally) -> float:
    """The mean of the durations that are known, in seconds."""
    return round(sum(tally.durations) / len(tally.durations), 6) if tally.durations else 0.0


METRICS: dict[str, Callable[[str, Tally], float]] = {
    "requests": lambda _, tally: tally.requests,
    "cost": lambda name, tally: usage_row(name, tally)["cost"],
    "latency": _latency,
    "errors": lambda _, tally: tally.errors,
}
