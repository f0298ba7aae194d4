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
    available = [replica for replica in replicas if replica.free]
    reserved: Replica | None = None
    for pending in waiting:
        if not available:
            return None
        if not pending.alone:
            return pending, min(available, key=_load)
        idle = [replica for replica in available if replica.is_idle]
        if idle:
            return pending, idle[0]
        if reserved is None:
            busy = [
                replica
                for replica in replicas
                if replica.state == "ready" and not replica.exclusive and not replica.is_dying
            ]
            reserved = min(busy, key=_load, default=None)
            available = [replica for replica in available if replica is not reserved]
    return None


def _load(replica: Replica) -> int:
    return replica.inflight
