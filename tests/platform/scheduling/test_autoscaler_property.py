"""The autoscaler decides for what has changed as it would for all projects at once.

Random projects with random calls and replicas live for a while; each decision is applied, as the scaling loop does.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bananastand.platform.scheduling.autoscaler import Autoscaler
from bananastand.platform.scheduling.demand import Decision, Demand, ReplicaState

from .reference_autoscaler import decide

STEPS = 60
SCALE_WAIT = 1.0


class RandomPlatform:
    """Projects that change at random. `gpus` is None for a machine without GPUs."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.now, self.names = chance, 100.0, 0
        self.gpus = chance.choice((None, 1, 2, 4, 8))
        self.demands: dict[str, Demand] = {}
        self.changed = set[str]()

    def change(self) -> None:
        """Let time pass, and let something happen to some of the projects."""
        chance = self.chance
        self.now += chance.choice((0.0, 0.25, 1.0, 4.0, 12.0))
        if self.gpus is not None and chance.random() < 0.1:
            self.gpus = chance.choice((0, 1, 4, 8))  # a machine is lost, or comes
        for _ in range(chance.randint(0, 2)):
            name = f"project {chance.randrange(6)}"
            self.changed.add(name)
            if chance.random() < 0.1:
                self.demands.pop(name, None)
            else:
                self.demands[name] = self.vary(self.demands.get(name) or self.new(name))

    def new(self, name: str) -> Demand:
        """Return a project without calls."""
        least = self.chance.choice((0, 0, 0, 1, 2))
        return Demand(
            name, least, least + self.chance.randint(0, 3), self.chance.choice((2.0, 5.0, 30.0)),
            self.chance.choice((1, 2)), 0, 0, None, 0.0, 0.0, (),
        )  # fmt: skip

    def vary(self, demand: Demand) -> Demand:
        """Return a project after some of its calls came, ran and ended, and some of its replicas changed."""
        chance, replicas = self.chance, list[ReplicaState]()
        for replica in demand.replicas:
            state = chance.choice((replica.state, replica.state, "ready", "draining", "stopping", "ended"))
            if replica.state in ("draining", "stopping") and state == "ready":
                state = "ended"
            inflight = chance.randint(0, demand.concurrency) if state in ("ready", "draining") else 0
            if state != "ended":
                replicas.append(ReplicaState(replica.id, state, inflight, self.now if inflight else replica.idle_since))
        waiting = chance.choice((0, 0, 1, 2, 9))
        since = min(self.now, max(demand.oldest or self.now, self.now - chance.choice((0.0, 0.5, 2.0, 11.0))))
        maximum = demand.maximum if chance.random() < 0.9 else demand.minimum + chance.randint(0, 3)
        return replace(
            demand, maximum=maximum, waiting=waiting, oldest=since if waiting else None, replicas=tuple(replicas),
            running=sum(replica.inflight for replica in replicas),
            last_served=chance.choice((demand.last_served, self.now)),
            rests_until=chance.choice((0.0, 0.0, 0.0, self.now + 3.0)),
        )  # fmt: skip

    def room(self, needs: str = "") -> int | None:
        """Return how many replicas may be started."""
        return None if self.gpus is None else self.gpus - sum(len(demand.replicas) for demand in self.demands.values())

    def apply(self, decision: Decision) -> None:
        """Start and drain what was decided; some starts fail."""
        for project in decision.starts:
            self.changed.add(project)
            if self.chance.random() < 0.8:
                self.names += 1
                replica = ReplicaState(f"replica {self.names}", "starting", 0, self.now)
                demand = self.demands[project]
                self.demands[project] = replace(demand, replicas=(*demand.replicas, replica))
        for name, demand in self.demands.items():
            drained = [replica.id for replica in demand.replicas if replica.id in decision.stops]
            if drained:
                self.changed.add(name)
                replicas = tuple(
                    replica._replace(state="draining") if replica.id in drained else replica
                    for replica in demand.replicas
                )
                self.demands[name] = replace(demand, replicas=replicas)


@pytest.mark.parametrize("seed", range(200))
def test_deciding_for_what_changed_is_deciding_for_all(seed: int) -> None:
    platform = RandomPlatform(random.Random(seed))
    autoscaler = Autoscaler(SCALE_WAIT)
    differences = list[tuple[Decision, Decision]]()
    for _ in range(STEPS):
        platform.change()
        names = sorted(platform.changed.union(autoscaler.due(platform.now)))
        platform.changed.clear()
        for name in names:
            if name not in platform.demands:
                autoscaler.forget(name)
        changed = [platform.demands[name] for name in names if name in platform.demands]

        decision = autoscaler.decide(changed, platform.now, platform.room)

        everything = [platform.demands[name] for name in sorted(platform.demands)]
        expected = decide(everything, platform.now, room=platform.room(), scale_wait=SCALE_WAIT)
        is_equal = sorted(decision.starts) == sorted(expected.starts)
        if not is_equal or (decision.stops, decision.wake) != (expected.stops, expected.wake):
            differences.append((decision, expected))
        platform.apply(decision)
    assert differences == []


def test_random_platforms_drain_for_every_reason() -> None:
    reasons = list[str]()
    for seed in range(40):
        platform = RandomPlatform(random.Random(seed))
        for _ in range(STEPS):
            platform.change()
            decision = Autoscaler(SCALE_WAIT).decide(platform.demands.values(), platform.now, platform.room)
            reasons += decision.stops.values()
            platform.apply(decision)

    for start in ("at most", "idle for", "gives way to a project", "gives way: its GPU"):
        assert any(reason.startswith(start) for reason in reasons), start
