"""Usage (A:118-132): what was run, by day and model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.request import ApiRequest

from .runtime import DailyUsage, Runtime

__all__ = ["get_usage"]

WINDOW = timedelta(days=29)  # the last 30 days, today included
SUMS = {
    "runs": "runs",
    "succeeded": "succeeded",
    "failed": "failed",
    "computeSeconds": "compute_seconds",
    "coldStarts": "cold_starts",
}
OF_A_DAY = ("runs", "succeeded", "failed", "computeSeconds")
OF_A_MODEL = ("runs", "computeSeconds")


def get_usage(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Return the runs between two days, both included; the last 30 days without them (A:125-126).

    Raises:
        ProviderError: dates_inverted.
    """
    parameters = request.parameters
    today = datetime.fromtimestamp(runtime.now(), UTC).date()
    end = _day(parameters["endDate"]) if "endDate" in parameters else today
    start = _day(parameters["startDate"]) if "startDate" in parameters else _window_start(end)
    if start > end:
        raise ProviderError("dates_inverted")
    rows = [row for row in runtime.usage() if start <= row.day <= end]
    days, models = defaultdict[date, list[DailyUsage]](list), defaultdict[str, list[DailyUsage]](list)
    for row in rows:
        days[row.day].append(row)
        models[row.model_key].append(row)
    return {
        "startDate": start.isoformat(),
        "endDate": end.isoformat(),
        "summary": _sums(rows, SUMS),
        "daily": [{"date": day.isoformat(), **_sums(of_day, OF_A_DAY)} for day, of_day in sorted(days.items())],
        "models": [{"modelKey": key, **_sums(of_model, OF_A_MODEL)} for key, of_model in sorted(models.items())],
    }


def _sums(rows: list[DailyUsage], names: Iterable[str]) -> dict[str, Any]:
    return {name: sum(getattr(row, SUMS[name]) for row in rows) for name in names}


def _day(text: str) -> date:
    """The day of a date or a moment; a moment with an offset is taken to UTC."""
    if len(text) == 10:
        return date.fromisoformat(text)
    try:
        return datetime.fromisoformat(text).astimezone(UTC).date()
    except OverflowError:
        return date.fromisoformat(text[:10])


def _window_start(end: date) -> date:
    return end - WINDOW if end - date.min > WINDOW else date.min
