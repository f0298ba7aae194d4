"""A node whose network is cut, and mended later."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bananastand.cluster.cluster_nodes import ClusterNodes
from bananastand.cluster.credentials import Identity, cluster_folder
from bananastand.cluster.head import load_options
from bananastand.cluster.ray_process import PORTS, wide_ports
from bananastand.platform.platform import Platform
from bananastand.platform.settings import Settings
from cut_network import CutNetwork
from joined_cluster import START_TIMEOUT, JoinedCluster
from stands import QUICK, build, deployed, outcome_of, until

pytestmark = [pytest.mark.slow, pytest.mark.needs("ip")]


@pytest.fixture
def network() -> Iterator[CutNetwork]:
    """A network of this machine and another one."""
    with CutNetwork() as network:
        yield network


@pytest.fixture
def cluster(network: CutNetwork) -> Iterator[JoinedCluster]:
    """node-2 on the other machine, and node-3 on this one, with one processor each."""
    pytest.importorskip("ray")
    folder = Path(tempfile.mkdtemp(prefix="bs-", dir="/tmp"))
    cluster = JoinedCluster(
        folder / "data", folder / "nodes", cpus=1, address=network.address, prefixes={2: network.command}
    )
    try:
        cluster.wait()
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)


async def test_calls_of_a_node_that_is_cut_off_run_elsewhere_and_the_node_comes_back(
    network: CutNetwork, cluster: JoinedCluster
) -> None:
    front = Identity.load(cluster_folder(cluster.data) / "front")
    platform = Platform(
        Settings(data=cluster.data, **{**QUICK, "start_timeout": 60.0}),
        build,
        lambda settings, id: ClusterNodes(settings, id, address=cluster.cluster.address, front=front),
    )

    def used() -> set[str]:
        return {replica.node for replica in platform.pool.of_project(project.id) if replica.state == "ready"}

    def usable() -> set[str]:
        return {state.name for state in platform.pool.nodes.states() if state.problem is None}

    await platform.start()
    try:
        await until(lambda: usable() == {"node-2", "node-3"}, 60)
        project = await deployed(platform, "app", "small", min_replicas=2, max_replicas=2)
        await until(lambda: used() == {"node-2", "node-3"}, 60)
        calls = [await platform.submit(project, "/sleep", b'{"seconds": 2.0}') for _ in range(4)]
        await until(lambda: all(replica.inflight for replica in platform.pool.of_project(project.id)))
        left = set(cluster.nodes["node-2"].replicas(platform.identity.id))
        assert left

        network.cut()

        await until(lambda: used() == {"node-3"}, 30)
        outcomes = [await outcome_of(call) for call in calls]
        assert [outcome.error for outcome in outcomes] == [None] * 4
        assert project.live not in platform.pool.failing

        network.mend()

        await until(lambda: usable() == {"node-2", "node-3"}, START_TIMEOUT)
        await until(lambda: used() == {"node-2", "node-3"}, 60)
        assert not left & set(cluster.nodes["node-2"].replicas(platform.identity.id))

        first = load_options(cluster.data).first_port + 2 * PORTS
        assert set(wide_ports(cluster.nodes["node-3"].folder)) <= set(range(first, first + PORTS))  # workers have some
    finally:
        await platform.close(2.0)
