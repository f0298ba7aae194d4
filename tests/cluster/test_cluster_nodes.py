"""What the platform reserves on a cluster's nodes, and what it makes of the bridge's reports. No Ray runs here."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bananastand.cluster import cluster_nodes
from bananastand.cluster.cluster_nodes import ClusterNodes
from bananastand.cluster.remote_replica import RemoteReplica
from bananastand.platform.errors import NodeLost, NotFound, ReplicaFailed
from bananastand.platform.launch import Launch
from bananastand.platform.nodes import ReplicaOrder, Resources, RunningReplica
from bananastand.platform.settings import Settings
from cluster_members import Members
from stands import until

LAUNCH = Launch("process", ("python3", "app.py"), "/app")


class FakeBridge:
    """Takes messages in place of the process in which Ray runs."""

    def __init__(self, options: Any, environment: Any, on_message: Any, on_lost: Any, log_file: Path) -> None:
        self.report, self.lose = on_message, on_lost
        self.is_connected, self.is_hopeless, self.problem = True, False, None
        self.changed = asyncio.Event()
        self.sent = list[dict[str, Any]]()

    def send(self, kind: str, **fields: Any) -> None:
        self.sent.append({"kind": kind, **fields})

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.sent if message["kind"] == kind]


class Bench:
    """Nodes over a fake bridge."""

    def __init__(self, data: Path, members: Members) -> None:
        self.nodes = ClusterNodes(Settings(data=data), "platform", address="127.0.1.1:6379", front=members.front)
        bridge = self.nodes._bridge
        assert isinstance(bridge, FakeBridge)
        self.bridge = bridge

    def report(self, *nodes: dict[str, Any]) -> None:
        self.bridge.report({"kind": "nodes", "nodes": list(nodes), "head_seen": 0.0})

    def start(self, replica: str, **fields: Any) -> asyncio.Task[RunningReplica]:
        """Reserve and start a replica."""
        order = order_of(replica, **fields)
        assert self.nodes.reserve(order)
        return asyncio.create_task(self.nodes.start(order, lambda line: None))

    async def fail(self, replica: str, node: str, reason: str, text: str = "as it is") -> ReplicaFailed:
        """Start a replica that fails, and return the error."""
        starting = self.start(replica)
        await until(lambda: any(start["order"]["replica"] == replica for start in self.bridge.of_kind("start")))
        self.bridge.report({"kind": "failed", "replica": replica, "node": node, "reason": reason, "text": text})
        with pytest.raises(ReplicaFailed) as failure:
            await starting
        self.nodes.release(replica)
        return failure.value


@pytest.fixture
async def bench(tmp_path: Path, own_cluster: Members, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """No nodes yet."""
    monkeypatch.setattr(cluster_nodes, "Bridge", FakeBridge)
    return Bench(tmp_path, own_cluster)


def node(id: str, *, gpus: float = 2, **fields: Any) -> dict[str, Any]:
    values = {"name": f"node-{id}", "address": f"127.0.1.{id}", "labels": {}, "cpus": 4.0, "gpus": gpus,
              "memory_mb": 8000, "relay": 8753, "certificate": f"node-{id}", "is_open": True}  # fmt: skip
    return {"id": id, **values, **fields}


def order_of(replica: str, deployment: str = "v1", **fields: Any) -> ReplicaOrder:
    return ReplicaOrder(replica, "project", deployment, fields.pop("launch", LAUNCH), **fields)


def place(bench: Bench, replica: str, deployment: str = "v1", **fields: Any) -> str | None:
    """Reserve a replica, and return the id of its node."""
    is_reserved = bench.nodes.reserve(order_of(replica, deployment, **fields))
    return bench.nodes._reserved[replica].node if is_reserved else None


async def test_a_version_goes_to_a_warm_node_then_to_one_with_its_files_then_to_the_least_loaded(bench: Bench) -> None:
    bench.report(node("1"), node("2"), node("3", warm=["v1"]), node("4", is_front=True))

    assert [place(bench, f"r{number}") for number in range(6)] == ["3", "3", "4", "4", "1", "2"]


async def test_a_busy_node_comes_after_an_idle_one(bench: Bench) -> None:
    bench.report(node("1", gpus=4), node("2"))

    assert [place(bench, f"r{number}", f"v{number}") for number in range(6)] == ["1", "2", "1", "1", "2", "1"]


async def test_room_counts_gpus_shares_memory_and_labels(bench: Bench) -> None:
    bench.report(
        node("1", labels={"gpu": "a100-80gb"}, gpu_memory_gb=80.0), node("2", gpu_memory_gb=24.0), node("3", gpus=0)
    )
    room = bench.nodes.room_for

    assert room(Resources()) == 4
    assert room(Resources(gpus=2.0)) == 2
    assert room(Resources(gpus=0.3)) == 12
    assert room(Resources(gpus=0)) == 12
    assert room(Resources(gpu_memory_gb=40)) == 2
    assert room(Resources(labels={"gpu": "a100"})) == 2
    assert room(Resources(memory_mb=5000)) == 2
    assert place(bench, "half", resources=Resources(gpus=0.5)) is not None
    assert room(Resources()) == 3
    assert room(Resources(gpus=0.5)) == 7


async def test_nodes_that_are_cordoned_broken_or_silent_get_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.report(node("1"), node("2", problem="it has Ray 1.0"), node("3", is_open=False))
    assert bench.nodes.room_for(Resources()) == 2

    bench.nodes.cordon("node-1", True)

    assert bench.nodes.room_for(Resources()) == 0
    assert place(bench, "r1") is None
    assert [state.problem for state in bench.nodes.states()] == [None, "it has Ray 1.0", "its keeper starts"]
    assert cluster_nodes._read_cordons(tmp_path / "cluster" / "cordoned.json") == {"node-1"}
    bench.nodes.cordon("node-1", False)
    assert bench.nodes.room_for(Resources()) == 2
    with pytest.raises(NotFound, match="there is no node elsewhere"):
        bench.nodes.cordon("elsewhere", True)


async def test_what_no_node_can_ever_run_is_said(bench: Bench) -> None:
    assert bench.nodes.why_never(Resources(gpus=8)) is None  # no node is known, and one may come
    bench.report(node("1", labels={"zone": "a"}, gpu_memory_gb=24.0))

    assert bench.nodes.why_never(Resources(gpus=2)) is None
    assert str(bench.nodes.why_never(Resources(gpus=4))).startswith("a replica needs 4 GPUs, and no node has that")
    assert "of 80 GiB" in str(bench.nodes.why_never(Resources(gpu_memory_gb=80)))
    assert "the label zone=b" in str(bench.nodes.why_never(Resources(labels={"zone": "b"})))


async def test_a_full_disk_keeps_replicas_from_its_node_alone_and_is_no_fault_of_the_version(bench: Bench) -> None:
    bench.report(node("1", warm=["v1"]), node("2"))

    error = await bench.fail("r1", "1", "full", "node node-1 is skipped: its disk is full (/data)")

    assert isinstance(error, NodeLost)
    assert "its disk is full (/data)" in str(error)
    assert place(bench, "r2") == "2"
    assert "its disk is full" in str(bench.nodes.states()[0].problem)


async def test_a_node_that_lacks_something_of_a_version_is_skipped_for_that_version(bench: Bench) -> None:
    bench.report(node("1", warm=["v1"]), node("2"))

    assert isinstance(await bench.fail("r1", "1", "unfit"), NodeLost)

    assert place(bench, "r2", "v1") == "2"
    assert place(bench, "r3", "v2") == "1"
    last = await bench.fail("r4", "2", "unfit", "node node-2 has no docker")
    assert not isinstance(last, NodeLost)  # no node is left: the version fails, with the reason
    assert "no docker" in str(last)


async def test_excluded_nodes_are_named_to_ray(bench: Bench) -> None:
    bench.report(node("1"), node("2"), node("3", gpus=0))
    bench.nodes.cordon("node-1", True)

    starting = bench.start("r1")
    await until(lambda: bench.bridge.of_kind("start"))

    (start,) = bench.bridge.of_kind("start")
    assert (start["target"], start["excluded"], start["bundle"]) == ("2", ["1", "3"], {"GPU": 1.0})
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert [message["kind"] for message in bench.bridge.sent[-2:]] == ["cancel", "clean_up"]


async def test_nodes_that_cannot_move_ports_get_one_replica_of_each_fixed_port(bench: Bench) -> None:
    fixed = dataclasses.replace(LAUNCH, port=8000)
    bench.report(node("1", gpus=4, port_problem="no seccomp"), node("2", gpus=4, port_problem="no seccomp"))

    starting = [bench.start(f"r{number}", launch=fixed) for number in range(2)]
    await until(lambda: len(bench.bridge.of_kind("start")) == 2)

    starts = [(start["target"], start["excluded"]) for start in bench.bridge.of_kind("start")]
    assert starts == [("1", ["2"]), ("2", ["1"])]  # also where Ray has no room on the target
    assert place(bench, "r3", launch=fixed) is None
    assert place(bench, "r4", launch=dataclasses.replace(LAUNCH, port=8001)) is not None
    assert place(bench, "r5") is not None
    assert str(bench.nodes.why_single(fixed)).startswith("the app fixes port 8000, which is taken on node-1, node-2: ")
    assert bench.nodes.why_single(LAUNCH) is None
    for task in starting:
        task.cancel()
    await asyncio.wait(starting)
    bench.nodes.release("r1")
    assert bench.nodes.why_single(fixed) is None
    assert place(bench, "r6", launch=fixed) == "2"
    bench.report(node("1", gpus=4), node("2", gpus=4, port_problem="no seccomp"))
    assert [place(bench, f"s{number}", launch=fixed) for number in range(2)] == ["1", "1"]


async def test_the_first_replica_of_a_version_may_share_a_gpu(bench: Bench) -> None:
    bench.report(node("1", gpus=1))
    assert bench.nodes.reserve(order_of("r1"))
    bench.nodes._reserved["r1"].gpus = ("0",)
    assert place(bench, "r2", "v2") is None

    starting = bench.start("r3", deployment="v2", may_share_gpu=True)
    await until(lambda: bench.bridge.of_kind("start"))

    (start,) = bench.bridge.of_kind("start")
    assert start["gpus"] == ["0"]
    assert start["bundle"] == {"node:127.0.1.1": 0.001}
    assert bench.nodes.room_for(Resources()) == -1
    starting.cancel()
    await asyncio.wait({starting})
    bench.nodes.release("r3")
    assert bench.nodes.room_for(Resources()) == 0


async def test_a_lost_bridge_loses_starts_and_replicas_and_leaves_no_room(bench: Bench) -> None:
    bench.report(node("1"))
    starting = bench.start("r1")
    await until(lambda: bench.bridge.of_kind("start"))
    bench.bridge.is_connected, bench.bridge.problem = False, "the cluster's head was lost"

    bench.bridge.lose()

    with pytest.raises(NodeLost, match="the cluster's head was lost"):
        await starting
    assert bench.nodes.room_for(Resources()) == 0
    assert bench.nodes.states() == []


async def test_wanted_replicas_are_shown_to_an_autoscaler_until_they_are_not_wanted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_nodes, "SHOWN_SECONDS", 0.2)
    bench.nodes.want(Resources(gpus=2.0, labels={"gpu": "a100"}))
    bench.nodes.want(Resources(gpus=2.0, labels={"gpu": "a100"}))

    (message,) = bench.bridge.of_kind("want")
    assert message["bundles"] == [{"bundle": {"GPU": 2.0}, "labels": {"gpu": "a100"}}]
    await until(lambda: len(bench.bridge.of_kind("want")) == 2)
    assert bench.bridge.of_kind("want")[-1]["bundles"] == []


async def test_secrets_of_an_order_are_in_no_text_about_it(bench: Bench) -> None:
    assert "hush" not in repr(order_of("r1", secrets={"TOKEN": "hush"}))


async def test_a_report_that_cannot_be_read_costs_no_other_report(bench: Bench) -> None:
    bench.report(node("1"))
    replica = bench.nodes._replicas["r1"] = RemoteReplica("r1", lambda line: None, bench.bridge.send)
    ended = {"kind": "ended", "replica": "r1", "status": 3, "limit": None, "outside": False}

    bench.bridge.report({"kind": "events", "node": "1", "events": [{"kind": "look"}, {"kind": "ended"}, 7, ended]})

    assert replica.status == 3
