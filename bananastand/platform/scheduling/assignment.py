"""Which waiting call goes to which replica next. A function of what is there now; hands out nothing itself.

Calls are served in the order in which they came. A call that is to be tried alone needs a replica without any other;
where none is idle, the least busy one takes no new calls until it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..replicas.replica import Replica
from .pending_call import PendingCall

__all__ = ["next_assignment"]


def next_assignment(waiting: Iterable[PendingCall], replicas: Sequence[Replica]) -> tuple[PendingCall, Replica] | None:
    """The next call and its replica, or None where nobody can be served now.

    Args:
        waiting: A project's queue.
        replicas: Those of its live version, oldest first.
    """
    able = [each for each in replicas if each.free_capacity]
    reserved: Replica | None = None
    for pending in waiting:
        if not able:
            return None
        if not pending.alone:
            return pending, min(able, key=_load)
        idle = [each for each in able if each.is_idle]
        if idle:
            return pending, idle[0]
        if reserved is None:
            busy = [each for each in replicas if each.state == "ready" and not each.is_exclusive and not each.is_dying]
            reserved = min(busy, key=_load, default=None)
            able = [each for each in able if each is not reserved]
    return None


def _load(replica: Replica) -> int:
    return replica.inflight
