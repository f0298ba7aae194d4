"""Usage by days and by range (B:226-253)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.world import World
from . import ledger

__all__ = ["get_usage"]

DAYS = 30


def get_usage(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """The period's sums and its days on which something was made. Raises ProviderError: invalid."""
    start, end = _period(ledger.today(world), parameters)
    days = ledger.period(world, start, end)
    return {
        "summary": {
            "total_images": sum(row["images"] for _, row in days),
            "total_edits": sum(row["edits"] for _, row in days),
            "total_size_mb": ledger.megabytes(sum(row["bytes"] for _, row in days)),
            "period_start": start.isoformat(),
            "period_end": end.isoformat(),
        },
        "daily": [
            {"date": day, "images": row["images"], "edits": row["edits"], "size_mb": ledger.megabytes(row["bytes"])}
            for day, row in days
        ],
    }


def _period(today: date, parameters: dict[str, Any]) -> tuple[date, date]:
    """Start to end where one of them is given, else the last `days`; the range of one end alone is 30 days."""
    if "start" not in parameters and "end" not in parameters:
        return today - timedelta(days=parameters.get("days", DAYS) - 1), today
    end = _date(parameters["end"]) if "end" in parameters else today
    before = date.fromordinal(max(1, end.toordinal() - DAYS + 1))
    start = _date(parameters["start"]) if "start" in parameters else before
    if end < start:
        raise ProviderError("invalid", "Invalid parameters: end is before start")
    return start, end


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ProviderError("invalid", f"Invalid parameters: {error}") from None
