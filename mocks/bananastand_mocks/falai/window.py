"""Windows of time cut into buckets, in a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, get_args

from bananastand.contracts.errors import ProviderError

__all__ = ["Timeframe", "Window", "moment"]

Timeframe = Literal["minute", "hour", "day", "week", "month"]

STEPS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
}
LONGEST: tuple[tuple[timedelta, Timeframe], ...] = (
    (timedelta(hours=2), "minute"),
    (timedelta(days=2), "hour"),
    (timedelta(days=64), "day"),
    (timedelta(days=183), "week"),
)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


def moment(text: str, zone: tzinfo = UTC) -> datetime:
    """A day or a moment in ISO 8601, in UTC; a day begins at midnight in the zone. Raises ProviderError: invalid.

    Years before 1970 and from 2200 on are brought to those borders.
    """
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ProviderError("invalid", f"{text} is no date") from None
    if not EARLIEST.year <= read.year < LATEST.year:
        return EARLIEST if read.year < EARLIEST.year else LATEST
    return (read if read.tzinfo else read.replace(tzinfo=zone)).astimezone(UTC)


class Window:
    """From `start` to `end`, which is not included, in buckets of a timeframe.

    Without a timeframe the length decides: minutes under 2 hours, hours under 2 days, days under 64 days, weeks under
    183 days, else months (fal's own API). `bound` widens it to whole buckets. With `open_end` the end is now: it is
    included, and one empty bucket follows, as recorded.
    """

    def __init__(
        self,
        start: datetime,
        end: datetime,
        timeframe: Timeframe | None = None,
        zone: tzinfo = UTC,
        *,
        bound: bool = True,
        open_end: bool = False,
    ) -> None:
        self.zone = zone
        self.timeframe: Timeframe = timeframe or _fitting(end - start)
        self._first = self._floor(start)
        last = self.index(end if open_end else end - INSTANT)
        filled = last + 1 if end > start or open_end else 0
        self.count = filled + open_end
        self.since = self.bucket(0) if bound else start
        self.until = self.bucket(filled) if bound else end + INSTANT * open_end

    def index(self, at: datetime) -> int:
        """The number of the bucket that holds a moment; below 0 before the window."""
        local = self._floor(at)
        if self.timeframe == "month":
            return (local.year - self._first.year) * 12 + local.month - self._first.month
        return (local - self._first) // STEPS[self.timeframe]

    def bucket(self, number: int) -> datetime:
        """When a bucket begins."""
        if self.timeframe == "month":
            years, month = divmod(self._first.month - 1 + number, 12)
            local = self._first.replace(year=self._first.year + years, month=month + 1)
        else:
            local = self._first + number * STEPS[self.timeframe]
        return local.replace(tzinfo=self.zone)

    def _floor(self, at: datetime) -> datetime:
        """The beginning of the bucket around a moment, as a clock in the zone shows it."""
        local = at.astimezone(self.zone).replace(tzinfo=None, second=0, microsecond=0)
        if self.timeframe == "minute":
            return local
        if self.timeframe == "hour":
            return local.replace(minute=0)
        day = local.replace(hour=0, minute=0)
        if self.timeframe == "week":
            return day - timedelta(days=day.weekday())
        return day if self.timeframe == "day" else day.replace(day=1)


def _fitting(length: timedelta) -> Timeframe:
    return next((timeframe for longest, timeframe in LONGEST if length < longest), get_args(Timeframe)[-1])
