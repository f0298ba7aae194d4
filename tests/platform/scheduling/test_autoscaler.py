"""The autoscaler's decisions for some projects, without a replica."""

from __future__ import annotations

from typing import Any

from bananastand.platform.scheduling.autoscaler import Autoscaler
from bananastand.platform.scheduling.demand import Decision, Demand, ReplicaState

NOW = 1000.0


def demand(project: str = "a", **fields: Any) -> Demand:
    return Demand(**{
        "project": project, "minimum": 0, "maximum": 3, "idle_timeout": 30.0, "concurrency": 1, "waiting": 0,
        "running": 0, "oldest": None, "last_served": NOW - 5, "rests_until": 0.0, "replicas": (), **fields,
    })  # fmt: skip


def ready(id: str, inflight: int = 0, idle_since: float = NOW) -> ReplicaState:
    return ReplicaState(id, "ready", inflight, idle_since)


def decided(*demands: Demand, gpus: int | None = None, used: int | None = None) -> Decision:
    replicas = sum(len(demand.replicas) for demand in demands)
    room = None if gpus is None else gpus - (replicas if used is None else used)
    return Autoscaler(scale_wait=1.0).decide(demands, NOW, lambda needs: room)


def test_nothing_wanted_is_nothing_done_and_nothing_to_wait_for() -> None:
    assert decided(demand()) == Decision()


def test_the_first_call_starts_one_replica_from_zero() -> None:
    assert decided(demand(waiting=1, oldest=NOW)).starts == ["a"]


def test_a_deep_queue_starts_as_many_as_it_needs_and_no_more_than_the_maximum() -> None:
    assert decided(demand(waiting=50, oldest=NOW)).starts == ["a", "a", "a"]
    assert decided(demand(waiting=5, concurrency=4, oldest=NOW)).starts == ["a"]
    assert decided(demand(waiting=9, concurrency=4, oldest=NOW)).starts == ["a", "a", "a"]


def test_replicas_that_start_already_count() -> None:
    starting = ReplicaState("r", "starting", 0, NOW)

    assert decided(demand(waiting=1, oldest=NOW - 60, replicas=(starting,))).starts == []
    assert decided(demand(waiting=2, oldest=NOW - 60, replicas=(starting,))).starts == []
    assert decided(demand(waiting=3, oldest=NOW, replicas=(starting,))).starts == ["a", "a"]


def test_a_call_that_has_waited_starts_another_replica_and_one_that_has_not_is_looked_at_again() -> None:
    busy = (ready("r", inflight=1),)

    assert decided(demand(waiting=1, running=1, oldest=NOW - 1, replicas=busy)).starts == ["a"]
    later = decided(demand(waiting=1, running=1, oldest=NOW - 0.4, replicas=busy))
    assert (later.starts, later.wake) == ([], NOW + 0.6)


def test_the_minimum_is_kept_without_any_call() -> None:
    assert decided(demand(minimum=2)).starts == ["a", "a"]
    assert decided(demand(minimum=2, replicas=(ready("r"),))).starts == ["a"]


def test_an_idle_replica_stops_after_its_timeout_and_not_below_the_minimum() -> None:
    old, young = ready("old", idle_since=NOW - 31), ready("young", idle_since=NOW - 10)

    decision = decided(demand(replicas=(old, young)))
    assert decision.stops == {"old": "idle for 30 s"}
    assert decision.wake == NOW + 20
    assert decided(demand(minimum=2, replicas=(old, young))) == Decision()
    assert decided(demand(replicas=(ready("r", inflight=1, idle_since=NOW - 99),), running=1)).stops == {}


def test_above_the_maximum_idle_replicas_go_first() -> None:
    replicas = (ready("busy", inflight=1), ready("idle"))

    assert list(decided(demand(maximum=1, running=1, replicas=replicas)).stops) == ["idle"]
    assert sorted(decided(demand(maximum=0, replicas=replicas)).stops) == ["busy", "idle"]


def test_a_version_that_failed_to_start_rests() -> None:
    decision = decided(demand(waiting=1, oldest=NOW, rests_until=NOW + 4))

    assert (decision.starts, decision.wake) == ([], NOW + 4)


def test_scarce_cards_go_to_those_that_have_fewest_and_then_to_those_that_waited_longest() -> None:
    first = demand("a", waiting=9, oldest=NOW - 1, replicas=(ready("r", inflight=1),), running=1)
    second = demand("b", waiting=9, oldest=NOW - 2)
    third = demand("c", waiting=1, oldest=NOW - 3)

    assert decided(first, second, third, gpus=4).starts == ["c", "b", "b"]
    assert decided(first, second, third, gpus=3).starts == ["c", "b"]


def test_the_idle_project_that_was_served_longest_ago_gives_way() -> None:
    long_ago = demand("a", last_served=NOW - 100, replicas=(ready("r1"),))
    lately = demand("b", last_served=NOW - 1, replicas=(ready("r2"),))
    hungry = demand("c", waiting=1, oldest=NOW)

    assert decided(lately, long_ago, hungry, gpus=2).stops == {"r1": "gives way to a project that has none"}


def test_one_of_several_gives_way_where_none_is_idle() -> None:
    rich = demand("a", running=2, waiting=5, oldest=NOW, replicas=(ready("r1", 1), ready("r2", 1)))

    assert len(decided(rich, demand("b", waiting=1, oldest=NOW), gpus=2).stops) == 1


def test_the_only_replica_of_a_project_at_work_gives_way_after_a_turn() -> None:
    busy = demand("a", running=1, waiting=5, oldest=NOW - 1, replicas=(ready("r", 1),))

    early = decided(busy, demand("b", waiting=1, oldest=NOW - 4), gpus=1)
    assert early.stops == {}
    assert early.wake == NOW + 6
    assert list(decided(busy, demand("b", waiting=1, oldest=NOW - 10), gpus=1).stops) == ["r"]


def test_a_minimum_is_never_taken_away() -> None:
    busy = demand("a", minimum=1, last_served=0.0, replicas=(ready("r"),))

    assert decided(busy, demand("b", waiting=1, oldest=NOW - 99), gpus=1).stops == {}


def test_one_replica_on_its_way_out_makes_room_for_one_project() -> None:
    leaving = demand("a", replicas=(ReplicaState("r1", "draining", 1, NOW), ready("r2")))

    assert decided(leaving, demand("b", waiting=1, oldest=NOW), gpus=2).stops == {}
    both = decided(leaving, demand("b", waiting=1, oldest=NOW), demand("c", waiting=1, oldest=NOW), gpus=2)
    assert list(both.stops) == ["r2"]


def test_an_idle_replica_gives_way_where_a_card_is_shared() -> None:
    old = demand("a", last_served=NOW - 9, replicas=(ready("r1"),))
    new = demand("b", last_served=NOW - 1, replicas=(ready("r2"),))

    assert list(decided(old, new, gpus=1).stops) == ["r1"]
    assert decided(old, new, gpus=2).stops == {}


def test_free_nodes_go_to_the_projects_that_fit_them() -> None:
    first = demand("a", waiting=1, oldest=NOW - 3, needs="a100")
    second = demand("b", waiting=1, oldest=NOW - 1, needs="t4")
    room = {"a100": 0, "t4": 2}

    assert Autoscaler(scale_wait=1.0).decide((first, second), NOW, room.get).starts == ["b"]


def test_the_replica_that_gives_way_is_on_a_node_that_fits() -> None:
    elsewhere = demand("a", last_served=NOW - 100, replicas=(ready("on a t4"),))
    fitting = demand("b", last_served=NOW - 1, replicas=(ready("on an a100"),))
    hungry = demand("c", waiting=1, oldest=NOW, needs="a100")
    decision = Autoscaler(scale_wait=1.0).decide(
        (elsewhere, fitting, hungry), NOW, lambda needs: 0, lambda replica, needs: replica.endswith(needs)
    )

    assert list(decision.stops) == ["on an a100"]
