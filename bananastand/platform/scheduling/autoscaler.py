"""Decides how many replicas each project should have, as a pure function of what is observed now.

From zero with the first call; up where the queue is deep or its first call waits; down after the idle timeout. Where
GPUs are short, a project without a replica comes first: an idle replica of the project that was served longest ago
gives way, then one of several, and after TURN_SECONDS also the only one of a project that is busy all the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Decision", "Demand", "ReplicaState", "decide"]

QUEUE_DEPTH = 2  # waiting calls for each slot at which more replicas are started without delay
TURN_SECONDS = 10.0  # that a project without a replica waits before a busy one gives way


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """A replica of the version that takes traffic. Times are on the clock of `now`."""

    id: str
    state: str
    inflight: int
    idle_since: float


@dataclass(frozen=True, slots=True)
class Demand:
    """A project as it is now.

    Attributes:
        project: Its id.
        minimum: The fewest replicas it may have.
        maximum: The most replicas it may have.
        idle_timeout: Seconds after which an idle replica is drained.
        concurrency: Calls that a replica runs at once.
        waiting: Calls in its queue.
        running: Calls in its replicas.
        oldest: When its first waiting call was queued; None if none waits.
        last_served: When a call was last handed to a replica.
        rests_until: When a version that failed to start may be tried again.
        replicas: Its replicas.
    """

    project: str
    minimum: int
    maximum: int
    idle_timeout: float
    concurrency: int
    waiting: int
    running: int
    oldest: float | None
    last_served: float
    rests_until: float
    replicas: tuple[ReplicaState, ...]

    @property
    def active(self) -> list[ReplicaState]:
        """The replicas that start or are ready."""
        return [replica for replica in self.replicas if replica.state in ("starting", "ready")]


@dataclass(slots=True)
class Decision:
    """What to do now.

    Attributes:
        starts: Projects to start a replica of; one may occur several times.
        stops: Replicas to drain, and why.
        wake: When to decide again at the latest; None if only a change matters.
    """

    starts: list[str] = field(default_factory=list[str])
    stops: dict[str, str] = field(default_factory=dict[str, str])
    wake: float | None = None

    def wake_at(self, moment: float) -> None:
        """Decide again at that moment at the latest."""
        self.wake = moment if self.wake is None else min(self.wake, moment)


def decide(demands: Sequence[Demand], now: float, *, gpus: int | None, used: int, scale_wait: float) -> Decision:
    """Decide which replicas to start and to drain.

    Args:
        demands: The projects that have a live version.
        now: The current time.
        gpus: How many replicas there may be in all; None for any number.
        used: How many replicas there are in all, with those that are being tried or drained.
        scale_wait: Seconds that a call waits before one more replica is started beside others.
    """
    decision = Decision()
    missing = {demand.project: _missing(demand, now, scale_wait, decision) for demand in demands}
    for demand in demands:
        _shrink(demand, now, decision)
    if gpus is None:
        decision.starts += [project for project, count in missing.items() for _ in range(count)]
        return decision
    _share(demands, missing, max(0, gpus - used), decision)
    _make_room(demands, missing, now, decision)
    _spread(demands, used - gpus, decision)
    return decision


def _missing(demand: Demand, now: float, scale_wait: float, decision: Decision) -> int:
    """Return how many more replicas a project should have."""
    have, backlog = len(demand.active), demand.waiting + demand.running
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
    if not demand.waiting or demand.oldest is None or not any(replica.state == "ready" for replica in demand.active):
        return 0  # while the first replica starts, calls wait for it and not because all are busy
    if now >= demand.oldest + scale_wait:
        return target - have
    decision.wake_at(demand.oldest + scale_wait)
    return 0


def _shrink(demand: Demand, now: float, decision: Decision) -> None:
    """Drain what is above the maximum, or has been idle long enough."""
    active = sorted(demand.active, key=lambda replica: (replica.inflight, replica.idle_since))
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
    have = {demand.project: len(demand.active) for demand in demands}
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
    hungry = [demand for demand in demands if missing[demand.project] and not demand.active and demand.waiting]
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
        staying = [replica for replica in demand.active if replica.id not in decision.stops]
        return staying if len(staying) > max(demand.minimum, least) else []

    by_service = sorted(others, key=lambda demand: demand.last_served)
    for demand in by_service:
        idle = [replica for replica in can_go(demand, 0) if replica.state == "ready" and not replica.inflight]
        if idle and not demand.waiting:
            return idle[0]
    for demand in sorted(by_service, key=lambda demand: -len(demand.active)):
        if several := can_go(demand, 1):
            return min(several, key=lambda replica: replica.inflight)
    if turn_is_over:
        for demand in by_service:
            if busy := [replica for replica in can_go(demand, 0) if replica.state == "ready"]:
                return busy[0]
    return None
