"""The queue of one project: the calls that wait, and those that run."""

from __future__ import annotations

from collections import deque

from .pending_call import PendingCall

__all__ = ["ProjectQueue"]


class ProjectQueue:
    """The calls of one project that are not over.

    Attributes:
        waiting: Calls that wait for a replica, in the order of their numbers.
        running: Calls that are in a replica, by id.
        isolated: The ids of calls that are tried with no other call beside them.
        last_served: When a call was last handed to a replica, on the monotonic clock.
        size: Bytes of the bodies of all these calls.
    """

    def __init__(self) -> None:
        self.waiting: deque[PendingCall] = deque()
        self.running: dict[str, PendingCall] = {}
        self.isolated: set[str] = set()
        self.last_served = 0.0
        self.size = 0

    @property
    def oldest(self) -> float | None:
        """When the first waiting call was queued, on the monotonic clock; None if none waits."""
        return self.waiting[0].queued if self.waiting else None

    def requeue(self, pending: PendingCall) -> None:
        """Put a call back in its place among those that wait."""
        number = pending.call.number
        later = (place for place, waiting in enumerate(self.waiting) if waiting.call.number > number)
        self.waiting.insert(next(later, len(self.waiting)), pending)

    def take_expired(self, now: float, limit: float) -> list[PendingCall]:
        """Remove and return the calls that have waited for `limit` seconds or longer."""
        expired = list[PendingCall]()
        while self.waiting and self.waiting[0].queued + limit <= now:
            expired.append(self.waiting.popleft())
        return expired
