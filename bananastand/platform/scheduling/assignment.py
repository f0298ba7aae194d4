"""Chooses which waiting call goes to which replica next.

Calls are served in the order in which they came. A call that is to be tried alone needs an idle replica; where none is
idle, the least busy one gets no further calls until it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..replicas.replica import Replica
from .pending_call import PendingCall

__all__ = ["next_assignment"]


def next_assignment(waiting: Iterable[PendingCall], replicas: Sequence[Replica]) -> tuple[PendingCall, Replica] | None:
    """Return the next call and its replica, or None if no call can be served now.

    Args:
        waiting: The calls of a project's queue.
        replicas: The replicas of its live version, oldest first.
    """
    reserved: Replica | None = None
    for pending in waiting:
        replica = _least_busy(replicas, reserved)
        if replica is None:
            return None
        if not pending.alone or not replica.inflight:
            return pending, replica
        if reserved is None:
            busy = [
                replica
                for replica in replicas
                if replica.state == "ready" and not replica.is_exclusive and not replica.is_dying
            ]
            reserved = min(busy, key=_load, default=None)
    return None


def _least_busy(replicas: Sequence[Replica], reserved: Replica | None) -> Replica | None:
    """Return the replica with the fewest calls that takes another one, the oldest of several; None if none does."""
    best: Replica | None = None
    for replica in replicas:
        # The counts come first: they rule most replicas out, and `free_capacity` looks at much more.
        if replica.inflight >= (replica.concurrency if best is None else best.inflight) or replica is reserved:
            continue
        if replica.free_capacity:
            if not replica.inflight:
                return replica
            best = replica
    return best


def _load(replica: Replica) -> int:
    return replica.inflight
