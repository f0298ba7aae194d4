"""Replicas on nodes that are lost, frozen and drained: calls go on elsewhere, and no version is blamed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import cast

import pytest

from bananastand.platform.draining import drain_node
from bananastand.platform.errors import NotFound
from bananastand.platform.nodes import P
from bananastand.platform.platform import Platform
from bananastand.platform.replicas.websocket_client import close_websocket, open_websocket
from bananastand.platform.scheduling.pending_call import PendingCall
from bananastand.platform.store.projects import Project
from fake_nodes import FakeNodes
from stands import called, deployed, outcome_of, running, until


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncGenerator[Platform]:
    """A platform on two nodes."""
    async with running(tmp_path / "data", make_nodes=FakeNodes) as platform:
        yield platform


def nodes_of(platform: Platform) -> FakeNodes:
    return cast(FakeNodes, platform.pool.nodes)


async def begin(platform: Platform, project: Project, seconds: float) -> PendingCall:
    pending = await platform.submit(project, "/", json.dumps({"seconds": seconds}).encode())
    await until(lambda: pending.replica is not None)
    return pending


async def lose_node_under(platform: Platform, pending: PendingCall, *, freeze: bool) -> None:
    """Lose the node on which a call runs."""
    await until(lambda: pending.replica is not None and pending.call.state == "running")
    await asyncio.sleep(0.2)  # its handler has begun
    replica = pending.replica
    assert replica is not None
    nodes_of(platform).lose(replica.node, freeze=freeze)
    await until(lambda: pending.replica is not replica)


@pytest.mark.parametrize("source", ["small", "potassium"])
@pytest.mark.parametrize("freeze", [True, False], ids=["frozen", "killed"])
async def test_a_call_survives_the_loss_of_several_nodes(
    cluster: Platform, tmp_path: Path, source: str, freeze: bool
) -> None:
    executed = tmp_path / "executed"
    project = await deployed(cluster, source=source, environment={"EXECUTED": str(executed)})
    pending = await begin(cluster, project, 1.0)

    for _ in range(3):
        await lose_node_under(cluster, pending, freeze=freeze)

    assert (await outcome_of(pending)).error is None
    assert len(executed.read_text().splitlines()) == 4
    assert pending.call.attempts == 1, "a node that is gone is no attempt"
    assert not cluster.pool.failing, "nor a failure of the version"


async def test_neighbours_of_a_call_whose_node_is_lost_stay_together(cluster: Platform) -> None:
    environment = {"SLOTS": "4", "TAKES": "4"}
    project = await deployed(cluster, max_replicas=1, environment=environment)
    calls = [await begin(cluster, project, 1.0) for _ in range(3)]

    await lose_node_under(cluster, calls[0], freeze=True)

    assert [(await outcome_of(call)).error for call in calls] == [None] * 3
    assert not any(call.alone for call in calls)


async def test_a_call_that_takes_every_node_with_it_fails_in_the_end(
    cluster: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bananastand.platform.scheduling.attempts.NODE_LOSSES", 1)
    project = await deployed(cluster)
    pending = await begin(cluster, project, 30.0)

    for _ in range(4):
        await lose_node_under(cluster, pending, freeze=True)

    error = (await outcome_of(pending)).error or ""
    assert error.startswith("the call was given up after 3 attempts: node n")


async def test_starts_whose_node_is_lost_make_no_call_hopeless(cluster: Platform) -> None:
    project = await deployed(cluster, idle_timeout=0)
    await until(lambda: not cluster.pool.replicas)
    nodes_of(cluster).start_losses = 5

    assert (await called(cluster, project))["got"] == {}


async def test_a_build_goes_live_though_the_node_of_its_first_replica_is_lost(
    cluster: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bananastand.platform.building.deployer.RETRY", 0.05)
    nodes_of(cluster).start_losses = 2

    project = await deployed(cluster)

    assert await called(cluster, project)


async def test_a_large_answer_and_a_stream_come_over_connections_of_a_node(cluster: Platform) -> None:
    project = await deployed(cluster)

    large = await called(cluster, project, "/large", {"bytes": 3_000_000})
    events = await outcome_of(await cluster.submit(project, "/events", b'{"events": 5}'))
    small = [await called(cluster, project, value={"n": number}) for number in range(3)]

    assert len(large["large"]) == 3_000_000
    assert events.body.count(b"data: ") == 5
    assert [answer["got"] for answer in small] == [{"n": 0}, {"n": 1}, {"n": 2}]


async def test_a_drained_node_keeps_its_replica_until_another_takes_its_place(cluster: Platform) -> None:
    project = await deployed(cluster, min_replicas=1, max_replicas=1, environment={"START_SECONDS": "0.5"})
    (old,) = cluster.pool.of_project(project.id)
    pending = await begin(cluster, project, 1.5)

    assert drain_node(cluster.pool, cluster.projects, old.node) == 1

    assert old.state == "ready", "it takes calls until the other one is ready"
    await until(lambda: old.state == "draining")
    assert [replica.node for replica in cluster.pool.of_project(project.id) if replica.state == "ready"] != [old.node]
    await until(old.ended.done)
    assert (await outcome_of(pending)).error is None
    assert pending.call.attempts == 1
    assert [replica.state for replica in cluster.pool.of_project(project.id)] == ["ready"]


async def test_an_unknown_node_cannot_be_drained(cluster: Platform) -> None:
    with pytest.raises(NotFound, match="there is no node n9"):
        drain_node(cluster.pool, cluster.projects, "n9")


async def test_a_websocket_is_opened_over_a_connection_of_the_node(cluster: Platform) -> None:
    project = await deployed(cluster, source="websocket")
    (replica,) = cluster.pool.of_project(project.id)
    opened = list[int]()

    async def connect(protocol_factory: Callable[[], P], host: str, port: int) -> tuple[asyncio.Transport, P]:
        opened.append(port)
        assert replica.connect is not None
        return await replica.connect(protocol_factory, host, port)

    assert replica.address is not None
    app = await open_websocket(replica.address, "/echo", (), (), 2**20, 5.0, connect)
    await app.send("to the app")

    assert "to the app" in str(await app.recv())
    assert opened == [replica.address[1]]
    await close_websocket(app, 1000, "")
