"""How many replicas each project should have: a function of what is seen now. Starts and stops nothing itself.

From zero with the first call; up where the queue is deep, or its first call waits; down after the idle timeout. Where
cards are short, a project without a replica comes first: an idle replica of the project that was served longest ago
gives way, then one of several, and after a turn also the only one of a project that is at work all the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Decision", "Demand", "Seen", "decide"]

DEPTH = 2  # waiting calls for each slot at which more replicas are started without waiting
TURN = 10.0  # seconds that a project without a replica waits before one at work gives way


@dataclass(frozen=True, slots=True)
class Seen:
    """A replica of the version that takes traffic. Moments are on one clock, `now`'s."""

    id: str
    state: str
    inflight: int
    idle_since: float


@dataclass(frozen=True, slots=True)
class Demand:
    """A project as it is now. `oldest` is since when its first call has waited, `rests_until` when a version that
    failed to start may be tried again."""

    project: str
    minimum: int
    maximum: int
    idle_timeout: float
    concurrency: int
    waiting: int
    at_work: int
    oldest: float | None
    last_served: float
    rests_until: float
    replicas: tuple[Seen, ...]

    @property
    def standing(self) -> list[Seen]:
        """Those that start or are ready."""
        return [each for each in self.replicas if each.state in ("starting", "ready")]


@dataclass(slots=True)
class Decision:
    """Projects to start a replica of (one may come several times), replicas to drain and why, when to look again."""

    starts: list[str] = field(default_factory=list[str])
    stops: dict[str, str] = field(default_factory=dict[str, str])
    wake: float | None = None

    def at(self, moment: float) -> None:
        """Look again not later than that."""
        self.wake = moment if self.wake is None else min(self.wake, moment)


def decide(demands: Sequence[Demand], now: float, *, cards: int | None, used: int, scale_wait: float) -> Decision:
    """What is to be done now. `cards` is how many replicas there may be, None for any number; `used` how many there
    are in all, those included that are being tried or are on their way out."""
    decision = Decision()
    lacking = {each.project: _lack(each, now, scale_wait, decision) for each in demands}
    for each in demands:
        _shrink(each, now, decision)
    if cards is None:
        decision.starts += [project for project, count in lacking.items() for _ in range(count)]
        return decision
    _share(demands, lacking, max(0, cards - used), decision)
    _make_room(demands, lacking, now, decision)
    _spread(demands, used - cards, decision)
    return decision


def _lack(demand: Demand, now: float, scale_wait: float, decision: Decision) -> int:
    """How many replicas more it should have."""
    have, backlog = len(demand.standing), demand.waiting + demand.at_work
    wanted = max(demand.minimum, min(demand.maximum, math.ceil(backlog / demand.concurrency)))
    if wanted <= have:
        return 0
    if demand.rests_until > now:
        decision.at(demand.rests_until)
        return 0
    sure = max(demand.minimum, 1)
    deep = demand.waiting > DEPTH * demand.concurrency * max(have, 1)
    if deep:
        return wanted - have
    if have < sure:
        return sure - have
    if not demand.waiting or demand.oldest is None or not any(each.state == "ready" for each in demand.standing):
        return 0  # how long a first start takes says nothing of how long calls do
    if now >= demand.oldest + scale_wait:
        return wanted - have
    decision.at(demand.oldest + scale_wait)
    return 0


def _shrink(demand: Demand, now: float, decision: Decision) -> None:
    """Drain what is above the maximum, or has been idle long enough."""
    standing = sorted(demand.standing, key=lambda each: (each.inflight, each.idle_since))
    for each in standing[: max(0, len(standing) - demand.maximum)]:
        decision.stops[each.id] = f"at most {demand.maximum} replicas are wanted"
    if demand.waiting:
        return
    spare = len(standing) - len(decision.stops.keys() & {each.id for each in standing}) - demand.minimum
    for each in standing:
        if each.state != "ready" or each.inflight or each.id in decision.stops or spare <= 0:
            continue
        if each.idle_since + demand.idle_timeout <= now:
            decision.stops[each.id] = f"idle for {demand.idle_timeout:g} s"
            spare -= 1
        else:
            decision.at(each.idle_since + demand.idle_timeout)


def _share(demands: Sequence[Demand], lacking: dict[str, int], free: int, decision: Decision) -> None:
    """Give free cards one by one to the project that has fewest, then to the one that has waited longest."""
    has = {each.project: len(each.standing) for each in demands}
    since = {each.project: each.oldest if each.oldest is not None else math.inf for each in demands}
    for _ in range(free):
        hungry = [project for project, count in lacking.items() if count]
        if not hungry:
            return
        chosen = min(hungry, key=lambda project: (has[project], since[project]))
        decision.starts.append(chosen)
        lacking[chosen] -= 1
        has[chosen] += 1


def _make_room(demands: Sequence[Demand], lacking: dict[str, int], now: float, decision: Decision) -> None:
    """For each project without any replica, have one of another's give way, unless one is leaving already."""
    leaving = _leaving(demands, decision)
    hungry = [each for each in demands if lacking[each.project] and not each.standing and each.waiting]
    for demand in sorted(hungry, key=lambda each: each.oldest or now)[leaving:]:
        waited = now - (demand.oldest if demand.oldest is not None else now)
        victim = _victim([each for each in demands if each.project != demand.project], decision, waited >= TURN)
        if victim is not None:
            decision.stops[victim.id] = "gives way to a project that has none"
        elif waited < TURN:
            decision.at(now + TURN - waited)


def _spread(demands: Sequence[Demand], excess: int, decision: Decision) -> None:
    """Where replicas share a card, as a version that is being tried does, idle ones give way."""
    for _ in range(excess - _leaving(demands, decision)):
        victim = _victim(demands, decision, turn_is_over=False)
        if victim is None or victim.inflight:
            return
        decision.stops[victim.id] = "gives way: its card is shared"


def _leaving(demands: Sequence[Demand], decision: Decision) -> int:
    """How many replicas are on their way out."""
    leaving = sum(each.state in ("draining", "stopping") for demand in demands for each in demand.replicas)
    return leaving + len(decision.stops)


def _victim(others: Sequence[Demand], decision: Decision, turn_is_over: bool) -> Seen | None:
    def can_go(demand: Demand, least: int) -> list[Seen]:
        staying = [each for each in demand.standing if each.id not in decision.stops]
        return staying if len(staying) > max(demand.minimum, least) else []

    by_service = sorted(others, key=lambda each: each.last_served)
    for demand in by_service:
        idle = [each for each in can_go(demand, 0) if each.state == "ready" and not each.inflight]
        if idle and not demand.waiting:
            return idle[0]
    for demand in sorted(by_service, key=lambda each: -len(each.standing)):
        if several := can_go(demand, 1):
            return min(several, key=lambda each: each.inflight)
    if turn_is_over:
        for demand in by_service:
            if busy := [each for each in can_go(demand, 0) if each.state == "ready"]:
                return busy[0]
    return None
