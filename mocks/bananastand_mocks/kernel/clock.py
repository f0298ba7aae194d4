"""A world's clock and the events that are due on it.

A real clock runs by itself, `speed` times as fast as real time, and can also be moved forward. A virtual clock moves
only when it is advanced. Either way events run in the order of their due times, and see their due time as now.

An event may return a background job: work that blocks. While the clock is advanced, the job runs at once, so that what
follows from it happens at the event's due time; otherwise it runs in a thread, and its outcome is taken later. An event
whose job is running counts as pending: a clock that is dumped and loaded starts the job again.
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

FASTEST = 1e6  # times as fast as real time
LATEST = 221_845_392_000.0  # where clocks end: 9000-01-01T00:00:00Z, well before datetime does
EPOCH = 1_767_225_600.0  # where virtual clocks start: 2026-01-01T00:00:00Z

Deliver = Callable[[str, dict[str, Any]], BackgroundJob | None]


class _RunningJob(NamedTuple):
    due: float
    event: str
    details: dict[str, Any]
    job: BackgroundJob
    outcome: Future[Any]


class Clock:
    """Seconds since 1970 for one world, and a queue of events that are plain data, so that they can be exported.

    Args:
        deliver: Lets an event happen, given its name and details; returns a background job or None.
        virtual: Whether the clock moves only when it is advanced.
        start: The first time; by default the present, for a virtual clock `EPOCH`.
        speed: How many times faster than real time a real clock runs.

    Attributes:
        step: Seconds by which every call to a provider moves the clock, so that a client that polls can wait for what
            is due. 0, the default, leaves it alone.
    """

    def __init__(self, deliver: Deliver, *, virtual: bool, start: float | None = None, speed: float = 1.0) -> None:
        self.virtual, self.speed, self.step = virtual, speed, 0.0
        self._deliver = deliver
        self._queue: list[tuple[float, int, str, dict[str, Any]]] = []
        self._order = count()
        self._frozen: float | None = None
        self._running: dict[int, _RunningJob] = {}
        self._turn = threading.RLock()
        self._advancing = threading.Lock()
        self._set(start if start is not None else EPOCH if virtual else time.time())

    def now(self) -> float:
        """Return seconds since 1970; while an event runs, its due time."""
        if self._frozen is not None:
            return self._frozen
        if self.virtual:
            return self._base
        return min(LATEST, self._base + (time.monotonic() - self._started) * self.speed)

    def moment(self) -> datetime:
        """Return the present time in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def after(self, seconds: float, event: str, **details: Any) -> None:
        """Schedule an event. Its details must be JSON."""
        heapq.heappush(self._queue, (self.now() + seconds, next(self._order), event, details))

    def advance(self, seconds: float) -> int:
        """Move forward and run what falls due on the way, also events that those events schedule.

        Background jobs are waited for, so this may block; do not call it on the event loop's thread.

        Args:
            seconds: How far to move, at least 0.

        Returns:
            How many events ran.

        Raises:
            ValueError: The clock would go back, or beyond its end.
        """
        if not seconds >= 0:
            raise ValueError("a clock cannot go back")
        with self._advancing:  # moves add up where several threads advance the clock
            return self._advance_to(self.now() + seconds)

    def _advance_to(self, until: float) -> int:
        if until > LATEST:
            raise ValueError("a clock ends with the year 8999")
        ran = 0
        while True:
            for running in list(self._running.values()):
                running.outcome.exception()  # waits
            ran += self.take_outcomes()
            with self._turn:
                if not self._queue or self._queue[0][0] > until:
                    break
                if self.virtual:
                    self._base = max(self._base, self._queue[0][0])
                order, job = self._begin(in_thread=False)
            ran += 1
            if job is not None:
                _run_here(job)
                self._finish(order, job)
        self._set(until)
        return ran

    def take_step(self) -> int:
        """Advance by `step`, at most to the clock's end; return how many events ran. This may block, as `advance`."""
        return self.advance(max(0.0, min(self.step, LATEST - self.now())))

    def run_due(self) -> int:
        """Run what is due by now and take the outcomes of finished jobs; return how many events ran or ended."""
        ran = self.take_outcomes() if self._running else 0
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
        """Let finished background jobs have their effect; return how many there were."""
        finished = [(order, job) for order, job in list(self._running.items()) if job.outcome.done()]
        return sum(self._finish(order, job) for order, job in finished)

    async def settle(self, event: str, **details: Any) -> None:
        """Wait for the running background jobs of an event with these details, and let them have their effect."""
        jobs = [job for job in self._running.values() if job.event == event and job.details == details]
        for job in jobs:
            future = asyncio.wrap_future(job.outcome)
            await asyncio.wait([future])
            future.exception()  # the job's own `done` handles it
        if jobs:
            self.take_outcomes()

    @property
    def pending(self) -> list[dict[str, Any]]:
        """The events that are scheduled or whose jobs are running, soonest first."""
        with self._turn:
            running = [(job.due, order, job.event, job.details) for order, job in self._running.items()]
            return [
                {"due": due, "event": event, "details": details}
                for due, _, event, details in sorted([*self._queue, *running], key=lambda item: item[:2])
            ]

    def dump(self) -> dict[str, Any]:
        """Return the clock as JSON."""
        return {
            "virtual": self.virtual,
            "speed": self.speed,
            "step": self.step,
            "now": self.now(),
            "pending": self.pending,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over a dumped clock. A real clock shows its own time: what fell due in between runs at the next call."""
        self.virtual, self.speed = bool(state["virtual"]), float(state["speed"])
        self.step = float(state.get("step", 0.0))
        self._set(float(state["now"]) if self.virtual else max(time.time(), float(state["now"])))
        self._queue, self._running = [], {}
        for row in state["pending"]:
            heapq.heappush(self._queue, (float(row["due"]), next(self._order), row["event"], row["details"]))

    def _begin(self, *, in_thread: bool) -> tuple[int, _RunningJob | None]:
        """Run the next event, with the turn's lock held."""
        due, order, event, details = heapq.heappop(self._queue)
        job = self._at(due, lambda: self._deliver(event, details))
        if job is None:
            return order, None
        outcome = job.threads.start(job.work) if in_thread else Future[Any]()
        self._running[order] = _RunningJob(due, event, details, job, outcome)
        return order, self._running[order]

    def _finish(self, order: int, running: _RunningJob) -> bool:
        """Let a job have its effect once: at its event's time where time is virtual, else now."""
        with self._turn:
            if self._running.get(order) is not running:
                return False
            try:
                self._at(running.due if self.virtual else self.now(), lambda: running.job.done(running.outcome))
            finally:
                del self._running[order]
        return True

    def _at(self, moment: float, act: Callable[[], BackgroundJob | None]) -> BackgroundJob | None:
        before, self._frozen = self._frozen, moment
        try:
            return act()
        finally:
            self._frozen = before

    def _set(self, now: float) -> None:
        self._base, self._started = now, time.monotonic()


def _run_here(running: _RunningJob) -> None:
    try:
        running.outcome.set_result(running.job.work())
    except Exception as error:
        running.outcome.set_exception(error)
