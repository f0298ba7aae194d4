"""The state that Potassium reports at /_k/status: Banana's load balancer chose a replica by it."""

from __future__ import annotations

import time

__all__ = ["Status"]


class Status:
    """Counts requests as Potassium 0.5.0 does. One thread owns it; a handler's thread calls `began` alone."""

    def __init__(self) -> None:
        self.concurrency = 0  # handlers that may run at once; 0 until init() is done
        self._started = self._completed = self._bad = 0
        self._running: dict[object, float] = {}
        self._idle_since = time.time()

    @property
    def in_progress(self) -> int:
        """Requests accepted and not yet done, those that wait and background ones included."""
        return self._started - self._completed

    @property
    def running(self) -> int:
        """Handlers that run now."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests that wait for a handler."""
        return self.in_progress - self.running

    def ready(self, concurrency: int) -> None:
        """Record that init() is done, and how many handlers may run at once."""
        self.concurrency = concurrency

    def bad(self) -> None:
        """Count a request that reached no handler: 400 or 404."""
        self._bad += 1

    def accepted(self) -> None:
        """Count a request for a handler."""
        self._started += 1

    def began(self, call: object) -> None:
        """Record that a handler starts on `call`."""
        self._running[call] = time.time()

    def ended(self, call: object) -> None:
        """Record that `call` has ended, whether or not a handler ran."""
        self._completed += 1
        self._running.pop(call, None)
        if self.concurrency > self.in_progress:
            self._idle_since = time.time()

    def as_dict(self) -> dict[str, bool | int]:
        """Return the report, with times in whole milliseconds."""
        available, now = self.concurrency > self.in_progress, time.time()
        idle = now - self._idle_since if available and not self.in_progress else 0
        longest = now - min([now, *list(self._running.values())])
        return {
            "gpu_available": available,
            "idle_time": int(idle * 1000),
            "inference_time": int(longest * 1000),
            "sequence_number": self._started + self._bad,
        }
