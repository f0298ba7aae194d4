"""Decides how many replicas each project should have, from what is observed of it now.

From zero with the first call; up where the queue is deep or its first call waits; down after the idle timeout. Who
gets replicas where GPUs are short is decided in `gpu_sharing`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from .demand import Decision, Demand, ReplicaState
from .gpu_sharing import GpuSharing, Room, Suits
from .ranking import Ranking

__all__ = ["Autoscaler"]

QUEUE_DEPTH = 2  # waiting calls for each slot at which more replicas are started without delay


class Autoscaler:
    """Decides for the projects that have changed or fall due; the others stay as they were decided.

    Args:
        scale_wait: Seconds that a call waits before one more replica is started beside others.
    """

    def __init__(self, scale_wait: float) -> None:
        self._scale_wait = scale_wait
        self._sharing = GpuSharing()
        self._due = Ranking()

    def due(self, now: float) -> list[str]:
        """Return the projects to decide for though nothing of them has changed."""
        return self._due.up_to(now)

    def forget(self, project: str) -> None:
        """Decide no more for a project without a live version."""
        self._due.place(project)
        self._sharing.remove(project)

    def decide(
        self, demands: Iterable[Demand], now: float, room: Room, suits: Suits = lambda replica, needs: True
    ) -> Decision:
        """Decide which replicas to start and to drain.

        Projects of which a replica is to be started or drained count as changed: their demands are for the next call.

        Args:
            demands: The projects that have changed, and those that are due.
            now: The current time.
            room: Returns how many replicas with such needs may be started, negative where replicas share a GPU; None
                for any number.
            suits: Returns whether the end of a replica, by its id, makes room for one with such needs.
        """
        decision = Decision()
        for demand in demands:
            plan, active = Decision(), demand.active()
            missing = _missing(demand, active, now, self._scale_wait, plan)
            _shrink(demand, active, now, plan)
            self._due.place(demand.project, plan.wake)
            self._sharing.place(demand, active, missing, plan.stops)
            decision.stops.update(plan.stops)
        self._sharing.share(now, room, suits, decision)
        if (soonest := self._due.lowest) is not None:
            decision.wake_at(soonest[0])
        return decision


def _missing(demand: Demand, active: list[ReplicaState], now: float, scale_wait: float, decision: Decision) -> int:
    """Return how many more replicas a project should have."""
    have, backlog = len(active), demand.waiting + demand.running
    target = max(demand.minimum, min(demand.maximum, math.ceil(backlog / demand.concurrency)))
    if target <= have:
        return 0
    if demand.rests_until > now:
        decision.wake_at(demand.rests_until)
        return 0
    sure = max(demand.minimum, 1)
    deep = demand.waiting > QUEUE_DEPTH * demand.concurrency * max(have, 1)
    if deep:
        return target - have
    if have < sure:
        return sure - have
    if not demand.waiting or demand.oldest is None or not any(replica.state == "ready" for replica in active):
        return 0  # while the first replica starts, calls wait for it and not because all are busy
    if now >= demand.oldest + scale_wait:
        return target - have
    decision.wake_at(demand.oldest + scale_wait)
    return 0


def _shrink(demand: Demand, active: list[ReplicaState], now: float, decision: Decision) -> None:
    """Drain what is above the maximum, or has been idle long enough."""
    active = sorted(active, key=lambda replica: (replica.inflight, replica.idle_since))
    for replica in active[: max(0, len(active) - demand.maximum)]:
        decision.stops[replica.id] = f"at most {demand.maximum} replicas are wanted"
    if demand.waiting:
        return
    spare = len(active) - len(decision.stops.keys() & {replica.id for replica in active}) - demand.minimum
    for replica in active:
        if replica.state != "ready" or replica.inflight or replica.id in decision.stops or spare <= 0:
            continue
        if replica.idle_since + demand.idle_timeout <= now:
            decision.stops[replica.id] = f"idle for {demand.idle_timeout:g} s"
            spare -= 1
        else:
            decision.wake_at(replica.idle_since + demand.idle_timeout)
