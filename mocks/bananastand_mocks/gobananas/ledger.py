"""What the tenant made, by the day, and the month's quotas over it.

The month is the calendar's, in UTC. What was made stays counted when it is deleted.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.world import World
from .state import MEGABYTE, setting

__all__ = ["add", "claim", "megabytes", "month", "period", "take_back", "today"]

LEDGER = "gobananas.usage"
NOTHING = {"images": 0, "edits": 0, "bytes": 0}


def add(world: World, moment: float, *, images: int = 0, edits: int = 0, size: int = 0) -> None:
    """Count in the day of a moment; edits are among the images."""
    day = world.table(LEDGER).setdefault(_date(moment).isoformat(), dict(NOTHING))
    day["images"] += images
    day["edits"] += edits
    day["bytes"] += size


def claim(world: World, *, images: int = 0, edits: int = 0) -> float:
    """Count images that are about to be made, and say when that was. Raises ProviderError: quota_exceeded."""
    used, now = month(world), world.clock.now()
    full = used["images"] + images > setting(world, "gobananas.monthly_images") and images
    if full or used["bytes"] >= setting(world, "gobananas.monthly_mb") * MEGABYTE:
        raise ProviderError(
            "quota_exceeded", status=setting(world, "gobananas.quota_status"), reset=_next_month(today(world))
        )
    add(world, now, images=images, edits=edits)
    return now


def take_back(world: World, moment: float, *, images: int = 0, edits: int = 0) -> None:
    """Returns a claim whose images were not painted."""
    add(world, moment, images=-images, edits=-edits)


def month(world: World) -> dict[str, int]:
    """The sums of this month."""
    now = today(world)
    return _sum(row for _, row in period(world, now.replace(day=1), now))


def period(world: World, start: date, end: date) -> list[tuple[str, dict[str, int]]]:
    """The days from start to end on which something was made, in order."""
    first, last = start.isoformat(), end.isoformat()
    return [
        (day, row) for day, row in sorted(world.table(LEDGER).items()) if first <= day <= last and any(row.values())
    ]


def today(world: World) -> date:
    """The date in UTC."""
    return world.clock.moment().date()


def megabytes(size: int) -> int | float:
    """Bytes in millions, as the document writes them: 125, 5.2."""
    rounded = round(size / MEGABYTE, 2)
    return int(rounded) if rounded.is_integer() else rounded


def _sum(rows: Any) -> dict[str, int]:
    total = dict(NOTHING)
    for row in rows:
        for name in total:
            total[name] += row[name]
    return total


def _date(moment: float) -> date:
    return datetime.fromtimestamp(moment, UTC).date()


def _next_month(now: date) -> float:
    return datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC).timestamp()
