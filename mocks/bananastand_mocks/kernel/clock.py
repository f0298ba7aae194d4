"""A world's clock and what is due on it. Knows no event's meaning.

A real clock runs by itself, `speed` times as fast as the wall's, and can also be moved forward. A virtual clock moves
only when told. Either way what was scheduled runs in order of its due time, and sees that time as now. A test may move
the clock in its own thread while the server asks in another what is due: each event runs once.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

__all__ = ["EPOCH", "FASTEST", "LATEST", "Clock"]

FASTEST = 1e6  # times as fast as the wall's
LATEST = 221_845_392_000.0  # where clocks end: 9000-01-01T00:00:00Z, well before datetime does
EPOCH = 1_767_225_600.0  # where virtual clocks start: 2026-01-01T00:00:00Z

Deliver = Callable[[str, dict[str, Any]], None]


class Clock:
    """Seconds since 1970 for one world, and a queue of events that are plain data, so that they can be exported."""

    def __init__(self, deliver: Deliver, *, virtual: bool, start: float | None = None, speed: float = 1.0) -> None:
        self.virtual, self.speed = virtual, speed
        self._deliver = deliver
        self._queue: list[tuple[float, int, str, dict[str, Any]]] = []
        self._order = count()
        self._frozen: float | None = None
        self._running = threading.RLock()
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
        """Move forward and run what falls due on the way, events that those events schedule too; how many ran."""
        if not seconds >= 0:
            raise ValueError("a clock cannot go back")
        with self._running:
            until = self.now() + seconds
            if until > LATEST:
                raise ValueError("a clock ends with the year 8999")
            ran = self._run(until)
            self._set(until)
            return ran

    def run_due(self) -> int:
        """Run what is due by now; how many ran. Does nothing while another thread moves the clock: that one does it."""
        if not self._queue or self._queue[0][0] > self.now() or not self._running.acquire(blocking=False):
            return 0
        try:
            return self._run(self.now())
        finally:
            self._running.release()

    @property
    def pending(self) -> list[dict[str, Any]]:
        """What is still to come, soonest first."""
        return [{"due": due, "event": event, "details": details} for due, _, event, details in sorted(self._queue)]

    def dump(self) -> dict[str, Any]:
        """The clock as JSON."""
        return {"virtual": self.virtual, "speed": self.speed, "now": self.now(), "pending": self.pending}

    def load(self, state: dict[str, Any]) -> None:
        """Take over a dumped clock. A real clock keeps its own time: what fell due in between runs at the next call."""
        self.virtual, self.speed = bool(state["virtual"]), float(state["speed"])
        self._set(float(state["now"]) if self.virtual else max(time.time(), float(state["now"])))
        self._queue = []
        for each in state["pending"]:
            heapq.heappush(self._queue, (float(each["due"]), next(self._order), each["event"], each["details"]))

    def _run(self, until: float) -> int:
        ran = 0
        while self._queue and self._queue[0][0] <= until:
            due, _, event, details = heapq.heappop(self._queue)
            self._frozen = due
            try:
                self._deliver(event, details)
            finally:
                self._frozen = None
            ran += 1
        return ran

    def _set(self, now: float) -> None:
        self._base, self._started = now, time.monotonic()
