"""The autoscaler as one function of all projects: it sorts and counts anew, and remembers nothing.

It is too slow for thousands of replicas, and easy to read: `test_autoscaler_property.py` holds the real one to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bananastand.platform.scheduling.demand import Decision, Demand, ReplicaState

__all__ = ["decide"]

QUEUE_DEPTH = 2  # waiting calls for each slot at which more replicas are started without delay
TURN_SECONDS = 10.0  # that a project without a replica waits before a busy one gives way


def decide(demands: Sequence[Demand], now: float, *, room: int | None, scale_wait: float) -> Decision:
    """Decide which replicas to start and to drain, as `Autoscaler` does, for all projects."""
    decision = Decision()
    missing = {demand.project: _missing(demand, now, scale_wait, decision) for demand in demands}
    for demand in demands:
        _shrink(demand, now, decision)
    if room is None:
        decision.starts += [project for project, count in missing.items() for _ in range(count)]
        return decision
    _share(demands, missing, max(0, room), decision)
    _make_room(demands, missing, now, decision)
    _spread(demands, -room, decision)
    return decision


def _missing(demand: Demand, now: float, scale_wait: float, decision: Decision) -> int:
    """Return how many more replicas a project should have."""
    have, backlog = len(demand.active()), demand.waiting + demand.running
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
    if not demand.waiting or demand.oldest is None or not any(replica.state == "ready" for replica in demand.active()):
        return 0  # while the first replica starts, calls wait for it and not because all are busy
    if now >= demand.oldest + scale_wait:
        return target - have
    decision.wake_at(demand.oldest + scale_wait)
    return 0


def _shrink(demand: Demand, now: float, decision: Decision) -> None:
    """Drain what is above the maximum, or has been idle long enough."""
    active = sorted(demand.active(), key=lambda replica: (replica.inflight, replica.idle_since))
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


def _share(demands: Sequence[Demand], missing: dict[str, int], free: int, decision: Decision) -> None:
    """Give free GPUs one by one to the project with the fewest replicas, then to the one that has waited longest."""
    have = {demand.project: len(demand.active()) for demand in demands}
    since = {demand.project: demand.oldest if demand.oldest is not None else math.inf for demand in demands}
    for _ in range(free):
        hungry = [project for project, count in missing.items() if count]
        if not hungry:
            return
        chosen = min(hungry, key=lambda project: (have[project], since[project]))
        decision.starts.append(chosen)
        missing[chosen] -= 1
        have[chosen] += 1


def _make_room(demands: Sequence[Demand], missing: dict[str, int], now: float, decision: Decision) -> None:
    """For each project without a replica, drain one of another project, unless one is leaving already."""
    leaving = _leaving(demands, decision)
    hungry = [demand for demand in demands if missing[demand.project] and not demand.active() and demand.waiting]
    for demand in sorted(hungry, key=lambda demand: demand.oldest or now)[leaving:]:
        waited = now - (demand.oldest if demand.oldest is not None else now)
        others = [other for other in demands if other.project != demand.project]
        victim = _victim(others, decision, waited >= TURN_SECONDS)
        if victim is not None:
            decision.stops[victim.id] = "gives way to a project that has none"
        elif waited < TURN_SECONDS:
            decision.wake_at(now + TURN_SECONDS - waited)


def _spread(demands: Sequence[Demand], excess: int, decision: Decision) -> None:
    """Drain idle replicas where two share a GPU, as a version that is being tried does."""
    for _ in range(excess - _leaving(demands, decision)):
        victim = _victim(demands, decision, turn_is_over=False)
        if victim is None or victim.inflight:
            return
        decision.stops[victim.id] = "gives way: its GPU is shared"


def _leaving(demands: Sequence[Demand], decision: Decision) -> int:
    """Return how many replicas are being drained or stopped."""
    leaving = sum(replica.state in ("draining", "stopping") for demand in demands for replica in demand.replicas)
    return leaving + len(decision.stops)


def _victim(others: Sequence[Demand], decision: Decision, turn_is_over: bool) -> ReplicaState | None:
    """Return the replica that should give way: an idle one, one of several, or a busy one once its turn is over."""

    def can_go(demand: Demand, least: int) -> list[ReplicaState]:
        staying = [replica for replica in demand.active() if replica.id not in decision.stops]
        return staying if len(staying) > max(demand.minimum, least) else []

    by_service = sorted(others, key=lambda demand: demand.last_served)
    for demand in by_service:
        idle = [replica for replica in can_go(demand, 0) if replica.state == "ready" and not replica.inflight]
        if idle and not demand.waiting:
            return idle[0]
    for demand in sorted(by_service, key=lambda demand: -len(demand.active())):
        if several := can_go(demand, 1):
            return min(several, key=lambda replica: replica.inflight)
    if turn_is_over:
        for demand in by_service:
            if busy := [replica for replica in can_go(demand, 0) if replica.state == "ready"]:
                return busy[0]
    return None
