"""A world's clock and what is due on it. Knows no event's meaning.

A real clock runs by itself, `speed` times as fast as the wall's, and can also be moved forward. A virtual clock moves
only when told. Either way what was scheduled runs in order of its due time, and sees that time as now.

An event may ask for an errand: work that blocks. Where time is moved by hand the errand is run there and then, so that
what follows from it happens at its proper time; else it runs in a thread, and its outcome is taken on a later turn. An
event whose errand is under way counts as pending: a clock that is dumped and loaded begins it again.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from itertools import count
from typing import Any, NamedTuple

from .background import BackgroundJob

__all__ = ["EPOCH", "FASTEST", "LATEST", "Clock"]

FASTEST = 1e6  # times as fast as the wall's
LATEST = 221_845_392_000.0  # where clocks end: 9000-01-01T00:00:00Z, well before datetime does
EPOCH = 1_767_225_600.0  # where virtual clocks start: 2026-01-01T00:00:00Z

Deliver = Callable[[str, dict[str, Any]], BackgroundJob | None]


class _UnderWay(NamedTuple):
    due: float
    event: str
    details: dict[str, Any]
    errand: BackgroundJob
    outcome: Future[Any]


class Clock:
    """Seconds since 1970 for one world, and a queue of events that are plain data, so that they can be exported."""

    def __init__(self, deliver: Deliver, *, virtual: bool, start: float | None = None, speed: float = 1.0) -> None:
        self.virtual, self.speed = virtual, speed
        self._deliver = deliver
        self._queue: list[tuple[float, int, str, dict[str, Any]]] = []
        self._order = count()
        self._frozen: float | None = None
        self._under_way: dict[int, _UnderWay] = {}
        self._turn = threading.RLock()
        self._set(start if start is not None else EPOCH if virtual else time.time())

    def now(self) -> float:
        """Seconds since 1970; while an event runs, its due time."""
        if self._frozen is not None:
            return self._frozen
        if self.virtual:
            return self._base
        return min(LATEST, self._base + (time.monotonic() - self._started) * self.speed)

    def moment(self) -> datetime:
        """Now, in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def after(self, seconds: float, event: str, **details: Any) -> None:
        """Have an event happen later. Details must be JSON."""
        heapq.heappush(self._queue, (self.now() + seconds, next(self._order), event, details))

    def advance(self, seconds: float) -> int:
        """Move forward and run what falls due on the way, events that those events schedule too; how many ran.

        Errands are waited for, so this may block: not for the event loop's own thread.
        """
        if not seconds >= 0:
            raise ValueError("a clock cannot go back")
        until = self.now() + seconds
        if until > LATEST:
            raise ValueError("a clock ends with the year 8999")
        ran = 0
        while True:
            for each in list(self._under_way.values()):
                each.outcome.exception()
            ran += self.take_outcomes()
            with self._turn:
                if not self._queue or self._queue[0][0] > until:
                    break
                if self.virtual:
                    self._base = max(self._base, self._queue[0][0])
                order, under_way = self._begin(in_thread=False)
            ran += 1
            if under_way is not None:
                _run_here(under_way)
                self._finish(order, under_way)
        self._set(until)
        return ran

    def run_due(self) -> int:
        """Run what is due by now, and take the outcomes that are there; how many events ran or ended."""
        ran = self.take_outcomes() if self._under_way else 0
        if not self._queue or self._queue[0][0] > self.now():
            return ran
        until = self.now()
        while True:
            with self._turn:
                if not self._queue or self._queue[0][0] > until:
                    return ran
                self._begin(in_thread=True)
            ran += 1

    def take_outcomes(self) -> int:
        """Let the errands that are done have their effect; how many were."""
        ready = [(order, each) for order, each in list(self._under_way.items()) if each.outcome.done()]
        return sum(self._finish(order, each) for order, each in ready)

    async def settle(self, event: str, **details: Any) -> None:
        """Wait for the errands of such an event that are under way, and let them have their effect."""
        waited = [each for each in self._under_way.values() if each.event == event and each.details == details]
        for each in waited:
            future = asyncio.wrap_future(each.outcome)
            await asyncio.wait([future])
            future.exception()  # is the errand's own matter
        if waited:
            self.take_outcomes()

    @property
    def pending(self) -> list[dict[str, Any]]:
        """What is still to come or still under way, soonest first."""
        with self._turn:
            under_way = [(each.due, order, each.event, each.details) for order, each in self._under_way.items()]
            return [
                {"due": due, "event": event, "details": details}
                for due, _, event, details in sorted([*self._queue, *under_way], key=lambda each: each[:2])
            ]

    def dump(self) -> dict[str, Any]:
        """The clock as JSON."""
        return {"virtual": self.virtual, "speed": self.speed, "now": self.now(), "pending": self.pending}

    def load(self, state: dict[str, Any]) -> None:
        """Take over a dumped clock. A real clock keeps its own time: what fell due in between runs at the next call."""
        self.virtual, self.speed = bool(state["virtual"]), float(state["speed"])
        self._set(float(state["now"]) if self.virtual else max(time.time(), float(state["now"])))
        self._queue, self._under_way = [], {}
        for each in state["pending"]:
            heapq.heappush(self._queue, (float(each["due"]), next(self._order), each["event"], each["details"]))

    def _begin(self, *, in_thread: bool) -> tuple[int, _UnderWay | None]:
        """Run the next event. Only in a turn."""
        due, order, event, details = heapq.heappop(self._queue)
        errand = self._at(due, lambda: self._deliver(event, details))
        if errand is None:
            return order, None
        outcome = errand.lane.start(errand.work) if in_thread else Future[Any]()
        self._under_way[order] = _UnderWay(due, event, details, errand, outcome)
        return order, self._under_way[order]

    def _finish(self, order: int, each: _UnderWay) -> bool:
        """Let an errand have its effect, once: at its event's time where time is virtual, else now."""
        with self._turn:
            if self._under_way.get(order) is not each:
                return False
            try:
                self._at(each.due if self.virtual else self.now(), lambda: each.errand.done(each.outcome))
            finally:
                del self._under_way[order]
        return True

    def _at(self, moment: float, act: Callable[[], BackgroundJob | None]) -> BackgroundJob | None:
        before, self._frozen = self._frozen, moment
        try:
            return act()
        finally:
            self._frozen = before

    def _set(self, now: float) -> None:
        self._base, self._started = now, time.monotonic()


def _run_here(each: _UnderWay) -> None:
    try:
        each.outcome.set_result(each.errand.work())
    except Exception as error:
        each.outcome.set_exception(error)
