"""Sums what a world has counted over windows of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ..kernel.world import World
from .paging import PageSlice
from .state import REQUESTS, RUNS, Tally, instances
from .window import Window

__all__ = ["COMPUTE", "Tallies", "per_bucket", "total"]

COMPUTE = "compute/"  # what the endpoint_id of an instance type's hours begins with

Tallies = dict[str, Tally]


def total(world: World, window: Window) -> Tallies:
    """What was counted in the whole window, by endpoint_id."""
    sums: Tallies = {}
    for _, endpoint_id, tally in _requests(world, window.since, window.until):
        sums.setdefault(endpoint_id, Tally()).add(tally)
    for endpoint_id, start, end in _hours(world, window.since, window.until):
        sums.setdefault(endpoint_id, Tally()).quantity += _length(start, end)
    return sums


def per_bucket(world: World, window: Window, page: PageSlice) -> list[tuple[datetime, Tallies]]:
    """The buckets of a page, oldest first, each with what was counted in it."""
    buckets: list[tuple[datetime, Tallies]] = [(window.bucket(n), {}) for n in range(page.start, page.stop)]
    since = max(window.since, window.bucket(page.start))
    until = min(window.until, window.bucket(page.stop))
    for at, endpoint_id, tally in _requests(world, since, until):
        _, sums = buckets[window.index(at) - page.start]
        sums.setdefault(endpoint_id, Tally()).add(tally)
    for endpoint_id, start, end in _hours(world, since, until):
        while start < end:
            number = window.index(start)
            border = min(end, window.bucket(number + 1))
            _, sums = buckets[number - page.start]
            sums.setdefault(endpoint_id, Tally()).quantity += _length(start, border)
            start = border
    return buckets


def _requests(world: World, since: datetime, until: datetime) -> Iterator[tuple[datetime, str, Tally]]:
    for minute, row in world.table(REQUESTS).items():
        at = datetime.fromtimestamp(int(minute) * 60, UTC)
        if since <= at < until:
            for endpoint_id, counted in row.items():
                yield at, endpoint_id, Tally(**counted)


def _hours(world: World, since: datetime, until: datetime) -> Iterator[tuple[str, datetime, datetime]]:
    """When instances ran, deleted ones too, cut to the window."""
    for instance_type, start, end in _runs(world):
        begun, ended = (datetime.fromtimestamp(moment, UTC) for moment in (start, end))
        begun, ended = max(begun, since), min(ended, until)
        if begun < ended:
            yield COMPUTE + instance_type, begun, ended


def _runs(world: World) -> Iterator[tuple[str, float, float]]:
    now = world.clock.now()
    rows: list[Any] = list(instances(world).values())
    for row in rows:
        if row["running_since"] is not None:
            yield row["instance_type"], row["running_since"], now
        for start, end in row["runs"]:
            yield row["instance_type"], start, end
    for instance_type, runs in world.table(RUNS).items():
        for start, end in runs:
            yield instance_type, start, end


def _length(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() / 3600
