"""Usage (A:118-132): what was run, by day and model. Knows nothing of how it was run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.world import World
from . import state

__all__ = ["get_usage"]

WINDOW = timedelta(days=29)  # the last 30 days, today included


def get_usage(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """Runs between two days, both included; the last 30 days without them (A:125-126).

    Raises ProviderError: dates_inverted.
    """
    end = _day(parameters["endDate"]) if "endDate" in parameters else world.clock.moment().date()
    start = _day(parameters["startDate"]) if "startDate" in parameters else _before(end)
    if start > end:
        raise ProviderError("dates_inverted")
    rows = [(day, key, row) for day, key, row in _rows(world) if start <= day <= end]
    by_day: dict[date, dict[str, Any]] = {}
    by_model: dict[str, dict[str, Any]] = {}
    for day, key, row in rows:
        daily = by_day.setdefault(day, {"runs": 0, "succeeded": 0, "failed": 0, "computeSeconds": 0.0})
        for name in daily:
            daily[name] += row[name]
        model = by_model.setdefault(key, {"runs": 0, "computeSeconds": 0.0})
        for name in model:
            model[name] += row[name]
    return {
        "startDate": start.isoformat(),
        "endDate": end.isoformat(),
        "summary": {
            name: sum(row[name] for _, _, row in rows)
            for name in ("runs", "succeeded", "failed", "computeSeconds", "coldStarts")
        },
        "daily": [{"date": day.isoformat(), **by_day[day]} for day in sorted(by_day)],
        "models": [{"modelKey": key, **by_model[key]} for key in sorted(by_model)],
    }


def _rows(world: World) -> Iterator[tuple[date, str, state.Row]]:
    for name, row in state.usage_rows(world).items():
        day, _, key = name.partition(" ")
        yield date.fromisoformat(day), key, row


def _day(text: str) -> date:
    """The day of a date or a moment; a moment with an offset is taken to UTC."""
    if len(text) == 10:
        return date.fromisoformat(text)
    try:
        return datetime.fromisoformat(text).astimezone(UTC).date()
    except OverflowError:
        return date.fromisoformat(text[:10])


def _before(end: date) -> date:
    return end - WINDOW if end - date.min > WINDOW else date.min
