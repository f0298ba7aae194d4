"""A platform over a Ray cluster: losses of the head and of the bridge, and nodes that do not fit. Each starts its own
cluster, or waits long.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from bananastand.cluster.authority import write_private
from bananastand.cluster.cluster_nodes import ClusterNodes
from bananastand.cluster.credentials import cluster_folder
from bananastand.platform.errors import Conflict
from bananastand.platform.nodes import Resources
from bananastand.platform.platform import Platform
from bananastand.platform.replicas.replica import Replica
from bananastand.platform.settings import Settings
from bananastand.platform.store.projects import Project
from paths import PATHS, SUPPORT
from ray_cluster import RayCluster
from stands import QUICK, build, called, deployed, outcome_of, until

pytestmark = pytest.mark.slow
LOST = 90.0  # seconds for a head that was lost to be noticed, and for nodes to join the next one


@pytest.fixture
def own() -> Iterator[RayCluster]:
    """A cluster with a head and one node, for one test."""
    pytest.importorskip("ray")
    folder = Path(tempfile.mkdtemp(prefix="bs-", dir="/tmp"))
    cluster = RayCluster(folder)
    try:
        cluster.add(1)
        cluster.wait()
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def platform_on(cluster: RayCluster, **changed: Any) -> AsyncGenerator[tuple[Platform, list[str]]]:
    """A platform on a cluster, and what it said at its start."""

    def make_nodes(settings: Settings, platform: str) -> ClusterNodes:
        return ClusterNodes(settings, platform, address=cluster.address, front=changed.get("front", cluster.front))

    platform = Platform(Settings(data=cluster.data, **{**QUICK, "start_timeout": 60.0}), build, make_nodes)
    try:
        yield platform, await platform.start()
    finally:
        await platform.close(2.0)


def running(platform: Platform, project: Project) -> list[Replica]:
    return [replica for replica in platform.pool.of_project(project.id) if replica.state == "ready"]


async def test_calls_survive_the_loss_of_the_head(own: RayCluster) -> None:
    """Ray ends with its head everywhere. The platform serves on, and replicas run again once there is a head."""
    own.add(2, cpus=2)
    own.wait()
    async with platform_on(own) as (platform, _):
        project = await deployed(platform, "app", "small", max_replicas=1)
        pending = await platform.submit(project, "/sleep", b'{"seconds": 2.0}')
        own.nodes[1].kill()
        assert await asyncio.wait_for(platform.submit(project, "/", b"{}"), 2) is not None  # it takes calls meanwhile
        own.nodes[2].kill()
        began = time.monotonic()
        await until(lambda: not platform.pool.nodes.states(), LOST)

        own.add(1)
        own.wait()
        own.add(2, cpus=2)
        own.wait()

        outcome = await pending.outcome(LOST)
        assert outcome is not None
        assert outcome.error is None, outcome
        assert time.monotonic() - began < LOST
        assert (await called(platform, project))["got"] == {}


async def test_a_frozen_bridge_is_replaced(own: RayCluster) -> None:
    own.add(2, cpus=2)
    own.wait()
    async with platform_on(own) as (platform, _):
        project = await deployed(platform, "app", "small", max_replicas=1)
        nodes = platform.pool.nodes
        assert isinstance(nodes, ClusterNodes)
        frozen = nodes._bridge.pid
        assert frozen is not None

        os.kill(frozen, signal.SIGSTOP)

        assert (await called(platform, project))["got"] == {}  # replicas answer without it
        await until(lambda: nodes._bridge.pid != frozen, 40)
        assert not psutil.pid_exists(frozen)
        pending = await platform.submit(project, "/", b"{}")
        assert (await outcome_of(pending)).error is None


async def test_another_token_is_refused_with_what_to_do(own: RayCluster) -> None:
    front = dataclasses.replace(own.front_in(own.folder / "intruder"))
    write_private(front.ray_token, b"0" * 64)

    async with platform_on(own, front=front) as (platform, messages):
        (message,) = [line for line in messages if line.startswith("cluster: ")]
        assert "refuses this machine's token" in message
        assert platform.pool.nodes.states() == []


async def test_a_node_with_another_bananastand_or_another_clock(own: RayCluster) -> None:
    """The first is refused with a clear text, and the other's clock is compared to nothing."""
    path = os.pathsep.join((str(SUPPORT / "skewed"), PATHS))
    own.add(2, cpus=2, variables={"PYTHONPATH": path, "SKEW_VERSION": "0.0.1"})
    own.add(3, cpus=2, variables={"PYTHONPATH": path, "SKEW_SECONDS": "-86400"})
    own.wait()
    async with platform_on(own) as (platform, _):
        await until(lambda: [state.problem is None for state in platform.pool.nodes.states()] == [False, True], 60)
        refused, skewed = platform.pool.nodes.states()
        assert str(refused.problem).startswith("node node-2 has Bananastand 0.0.1, and this platform has")
        assert "install the same on all machines" in str(refused.problem)

        project = await deployed(platform, "app", "potassium", max_replicas=2, min_replicas=2)
        await until(lambda: len(running(platform, project)) == 2, 60)

        assert (await called(platform, project, "/", {"on": "node-3"}))["got"] == {"on": "node-3"}
        assert {replica.node for replica in running(platform, project)} == {"node-3"}
        assert 0 <= skewed.seen < 10


async def test_a_full_disk_of_a_node_is_said_and_the_other_node_serves(own: RayCluster) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    small = cluster_folder(own.data) / "node-2"
    small.mkdir(parents=True)
    mounted = await asyncio.create_subprocess_exec("mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(small))
    if await mounted.wait():
        pytest.skip("no small disk can be mounted here")
    try:
        own.add(2, cpus=8)
        own.add(3, cpus=1)
        own.wait()
        async with platform_on(own) as (platform, _):
            await until(lambda: len(platform.pool.nodes.states()) == 2, 60)
            await until(lambda: platform.pool.nodes.room_for(Resources()) == 9, 60)
            project = await deployed(platform, "app", "small", max_replicas=1)

            assert (await called(platform, project))["got"] == {}
            assert [replica.node for replica in platform.pool.of_project(project.id)] == ["node-3"]
            full = platform.pool.nodes.states()[0]
            assert "its disk is full" in str(full.problem)
            assert project.live not in platform.pool.failing
    finally:
        own.nodes[2].kill()
        await (await asyncio.create_subprocess_exec("umount", "-l", str(small))).wait()


async def test_a_head_with_a_dashboard_is_refused(own: RayCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its job API would run anybody's code."""
    nodes = ClusterNodes(Settings(data=own.data), "p", address=own.address, front=own.front)
    nodes._bridge._on_message = lambda message: None
    monkeypatch.setattr("bananastand.cluster.bridge.MODULE", "dashboard_bridge")
    nodes._bridge._environment["PYTHONPATH"] = PATHS

    with pytest.raises(Conflict, match="job API runs anybody's code"):
        await nodes.open()
