"""A platform over a Ray cluster of several nodes on loopback: calls, placement, and each kind of loss once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import psutil
import pytest

from bananastand.cluster.cluster_nodes import ClusterNodes
from bananastand.platform.nodes import Resources
from bananastand.platform.platform import Platform
from bananastand.platform.replicas.replica import Replica
from bananastand.platform.settings import Settings
from bananastand.platform.store.projects import Project
from ray_cluster import RayCluster, RayNode
from stands import QUICK, build, called, deployed, outcome_of, until

SECRET = "the-secret-of-this-test"
LOST = 40.0  # seconds in which a loss is noticed and replicas run again, on a loaded machine


@pytest.fixture(scope="module")
async def platform(cluster: RayCluster) -> AsyncGenerator[Platform]:
    """A platform whose replicas run on the cluster's nodes."""

    def make_nodes(settings: Settings, platform: str) -> ClusterNodes:
        return ClusterNodes(settings, platform, address=cluster.address, front=cluster.front)

    settings = Settings(data=cluster.data, **{**QUICK, "start_timeout": 60.0})
    platform = Platform(settings, build, make_nodes)
    try:
        await platform.start()
        await until(lambda: len(open_nodes(platform)) == 2, LOST)
        yield platform
    finally:
        await platform.close(2.0)


def nodes_of(platform: Platform) -> ClusterNodes:
    assert isinstance(platform.pool.nodes, ClusterNodes)
    return platform.pool.nodes


def open_nodes(platform: Platform) -> list[str]:
    return [state.name for state in platform.pool.nodes.states() if state.problem is None]


async def project_on(platform: Platform, name: str, source: str = "potassium", **options: Any) -> Project:
    return await deployed(platform, name, source, **{"max_replicas": 1, "idle_timeout": 600, **options})


def ready_replicas(platform: Platform, project: Project) -> list[Replica]:
    return [replica for replica in platform.pool.of_project(project.id) if replica.state == "ready"]


def node_of(cluster: RayCluster, replica: Replica) -> RayNode:
    running = replica.running
    assert running is not None
    return next(node for node in cluster.nodes.values() if node.name == running.node)


async def called_again(platform: Platform, project: Project, lose: Callable[[], object]) -> float:
    """Lose something while a call runs, and return the seconds until the call has ended with its answer."""
    pending = await platform.submit(project, "/sleep", b'{"seconds": 1.0}')
    await asyncio.sleep(0.3)
    began = time.monotonic()
    lose()
    outcome = await outcome_of(pending)
    assert outcome.error is None, outcome
    return time.monotonic() - began


def marked(platform: Platform) -> list[int]:
    """The processes of this platform's replicas on nodes."""
    found = list[int]()
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            is_own = environment.get("BANANASTAND_STAND", "").startswith(f"{platform.store.id}@")
            if is_own and "BANANASTAND_REPLICA" in environment:
                found.append(process.pid)
        except psutil.Error:
            pass
    return found


async def test_a_potassium_app_runs_on_a_node(platform: Platform, cluster: RayCluster) -> None:
    project = await project_on(platform, "potassium", secrets={"TOKEN": SECRET}, min_replicas=1)
    answer = await called(platform, project, "/", {"prompt": "a ripe banana"})
    (replica,) = ready_replicas(platform, project)

    assert answer["got"] == {"prompt": "a ripe banana"}
    assert replica.running is not None
    assert replica.running.node in ("node-2", "node-3")
    assert replica.gpu in ("0", "1")
    await until(lambda: replica.memory_bytes > 2**20, 10)
    folder = node_of(cluster, replica).identity.folder
    assert psutil.Process(replica.pid).cwd().startswith(f"{folder}/builds/")  # the files that were sent to it
    await platform.remove(project)
    await until(lambda: not marked(platform), 10)


async def test_secrets_are_on_no_disk_of_a_node(platform: Platform, cluster: RayCluster) -> None:
    project = await project_on(platform, "secretive", "small", secrets={"TOKEN": SECRET})
    (replica,) = ready_replicas(platform, project)
    node = node_of(cluster, replica)

    files = [path for folder in (node.identity.folder, cluster.folder / f"n{node.address[-1]}")
             for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]  # fmt: skip
    assert len(files) > 10
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert replica.pid is not None
    assert psutil.Process(replica.pid).environ()["TOKEN"] == SECRET
    await platform.remove(project)


async def test_an_app_that_is_a_server_of_its_own_is_reached_through_the_relay_alone(platform: Platform) -> None:
    project = await project_on(platform, "echo", "echo")
    answer = await called(platform, project, "/any/path?with=query", {"hello": "node"})
    (replica,) = ready_replicas(platform, project)

    assert (answer["method"], answer["target"]) == ("POST", "/any/path?with=query")
    assert replica.address is not None
    assert replica.address[0] == "127.0.0.1"
    assert listening_addresses(replica.pid or 0) == {"127.0.0.1"}
    await platform.remove(project)


def listening_addresses(pid: int) -> set[str]:
    return {
        connection.laddr.ip
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


async def test_replicas_spread_over_all_gpus_and_wait_where_there_is_no_more_room(platform: Platform) -> None:
    project = await project_on(platform, "many", "small", min_replicas=4, max_replicas=5)
    await until(lambda: len(ready_replicas(platform, project)) == 4, LOST)

    places = {(replica.running.node, replica.gpu) for replica in ready_replicas(platform, project) if replica.running}
    assert places == {("node-2", "0"), ("node-2", "1"), ("node-3", "0"), ("node-3", "1")}
    assert platform.pool.nodes.room_for(Resources()) == 0
    assert [state.free_gpus for state in platform.pool.nodes.states()] == [0, 0]
    await platform.remove(project)
    await until(lambda: platform.pool.nodes.room_for(Resources()) == 4)


async def test_labels_choose_the_node_and_a_cordoned_one_gets_nothing(platform: Platform) -> None:
    nodes = nodes_of(platform)

    assert nodes.room_for(Resources(labels={"zone": "z3"})) == 2
    assert nodes.room_for(Resources(gpus=2)) == 2
    assert nodes.room_for(Resources(gpus=0)) == 4
    assert "no node has that" in str(nodes.why_never(Resources(labels={"zone": "elsewhere"})))
    assert "no node has that" in str(nodes.why_never(Resources(gpus=3)))
    nodes.cordon("node-3", True)
    try:
        assert nodes.room_for(Resources(labels={"zone": "z3"})) == 0
        project = await project_on(platform, "cordoned", "small", min_replicas=2, max_replicas=2)
        await until(lambda: len(ready_replicas(platform, project)) == 2, LOST)
        assert {replica.running.node for replica in ready_replicas(platform, project) if replica.running} == {"node-2"}
        await platform.remove(project)
    finally:
        nodes.cordon("node-3", False)


async def test_a_version_starts_by_a_fork_where_its_node_has_a_warm_fork_server(platform: Platform) -> None:
    project = await project_on(platform, "forks", "potassium", min_replicas=1, max_replicas=2)
    (first,) = ready_replicas(platform, project)
    await until(lambda: any(project.live in state.warm for state in platform.pool.nodes.states()), LOST)

    platform.projects.change(project, {"min_replicas": 2})
    await until(lambda: len(ready_replicas(platform, project)) == 2, LOST)

    (second,) = [replica for replica in ready_replicas(platform, project) if replica is not first]
    assert first.running is not None
    assert second.running is not None
    assert second.running.node == first.running.node
    assert second.running.how == "forked from a fork server that has its imports"
    await platform.remove(project)


async def test_a_killed_replica_is_replaced(platform: Platform, cluster: RayCluster) -> None:
    project = await project_on(platform, "killed", "small")
    (replica,) = ready_replicas(platform, project)
    assert replica.pid is not None

    await called_again(platform, project, lambda: os.kill(replica.pid or 0, signal.SIGKILL))

    await platform.remove(project)


async def test_a_killed_keeper_takes_its_programs_along_and_calls_go_on(
    platform: Platform, cluster: RayCluster
) -> None:
    project = await project_on(platform, "keeper", "small")
    (replica,) = ready_replicas(platform, project)
    node, pid = node_of(cluster, replica), replica.pid or 0

    await called_again(platform, project, lambda: node.signal(signal.SIGKILL, "ray::Keeper"))

    await until(lambda: not psutil.pid_exists(pid), 10)
    assert (replica.failure or "").startswith(f"node {node.name} was lost")
    assert project.live not in platform.pool.failing
    await until(lambda: len(open_nodes(platform)) == 2, LOST)
    await platform.remove(project)


@pytest.mark.slow
async def test_a_killed_node_costs_no_call_and_rejoins(platform: Platform, cluster: RayCluster) -> None:
    project = await project_on(platform, "node", "small")
    (replica,) = ready_replicas(platform, project)
    node, pid = node_of(cluster, replica), replica.pid or 0
    number = int(node.address[-1])

    await called_again(platform, project, lambda: node.signal(signal.SIGKILL, "raylet/raylet"))
    node.kill()
    await until(lambda: not psutil.pid_exists(pid), 10)
    assert replica.is_lost

    cluster.add(number, cpus=2, gpus=2, labels={"zone": f"z{number}"})
    await until(lambda: len(open_nodes(platform)) == 2, LOST)
    await platform.remove(project)


@pytest.mark.slow
async def test_a_frozen_node_costs_no_call(platform: Platform, cluster: RayCluster) -> None:
    """Nothing of it answers, and its connections stay open."""
    project = await project_on(platform, "frozen", "small")
    (replica,) = ready_replicas(platform, project)
    node = node_of(cluster, replica)
    number = int(node.address[-1])
    frozen = [*node.pids(), *marked(platform)]

    def freeze() -> None:
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)

    await called_again(platform, project, freeze)

    assert replica.is_lost
    for pid in frozen:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGCONT)
    await until(lambda: not psutil.pid_exists(replica.pid or 0), 15)
    node.kill()
    cluster.add(number, cpus=2, gpus=2, labels={"zone": f"z{number}"})
    await until(lambda: len(open_nodes(platform)) == 2, LOST)
    await platform.remove(project)


async def test_a_killed_bridge_is_started_again_and_costs_no_call(platform: Platform) -> None:
    project = await project_on(platform, "bridge", "small")
    (replica,) = ready_replicas(platform, project)
    nodes, pid = nodes_of(platform), replica.pid or 0
    bridge = nodes._bridge.pid
    assert bridge is not None

    await called_again(platform, project, lambda: os.kill(bridge, signal.SIGKILL))

    assert replica.is_lost
    assert project.live not in platform.pool.failing
    await until(lambda: not psutil.pid_exists(pid), 15)
    await until(lambda: len(open_nodes(platform)) == 2, LOST)
    await platform.remove(project)


async def test_no_process_of_a_removed_project_is_left(platform: Platform) -> None:
    project = await project_on(platform, "orphans", "small", min_replicas=2, max_replicas=2)
    await until(lambda: len(ready_replicas(platform, project)) == 2, LOST)
    assert len(marked(platform)) >= 2

    await platform.remove(project)

    await until(lambda: not marked(platform), 10)


PENDING = """
import json, ray, sys
ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
groups = ray.util.placement_group_table().values()
print(json.dumps([group["bundles"]["0"] if "0" in group["bundles"] else group["bundles"][0]
                  for group in groups if group["state"] == "PENDING"]))
"""


def pending_groups(cluster: RayCluster) -> list[dict[str, float]]:
    """What waits for room in Ray, as an autoscaler of it sees."""
    environment = {**os.environ, **cluster.front.ray_environment()}
    command = [sys.executable, "-c", PENDING, cluster.address]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout.splitlines()[-1])


async def test_what_finds_no_room_stays_pending_in_ray_where_an_autoscaler_sees_it(
    platform: Platform, cluster: RayCluster
) -> None:
    nodes = nodes_of(platform)
    assert await asyncio.to_thread(pending_groups, cluster) == []

    nodes.want(Resources(gpus=7.0, labels={"zone": "elsewhere"}))

    assert await asyncio.to_thread(pending_groups, cluster) == [{"GPU": 7.0}]
    nodes.want(Resources(gpus=1.0))  # there is room for it: it is given back at once
    project = await project_on(platform, "wanted", "small", min_replicas=4, max_replicas=4)
    await until(lambda: len(ready_replicas(platform, project)) == 4, LOST)
    await platform.remove(project)
