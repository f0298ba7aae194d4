"""A head and a node with Ray itself, run by the commands: joining, losses, and what is left at the end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bananastand.cluster.credentials import FOLDER_VARIABLE, Identity, cluster_folder
from bananastand.cluster.head import load_options
from bananastand.cluster.ray_process import PORTS, port_notice, wide_ports
from bananastand.cluster.registry import Registry
from bananastand.platform.replicas.reaper import find_marked
from faults import send, until
from joined_cluster import START_TIMEOUT, JoinedCluster, wait_for_a_raylet
from paths import PATHS

pytestmark = pytest.mark.slow  # Ray takes ten seconds for each start

CONNECT = """
import ray, sys
ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
print(*sorted(node["NodeName"] for node in ray.nodes() if node["Alive"]))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[JoinedCluster]:
    """A head and one node."""
    folder = Path(tempfile.mkdtemp(prefix="bs-", dir="/tmp"))
    cluster = JoinedCluster(folder / "data", folder / "nodes", nodes=1)
    try:
        cluster.wait()
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)


def connect(cluster: JoinedCluster, **variables: str) -> subprocess.CompletedProcess[str]:
    """Ray's own client, as the cluster's front unless variables say otherwise."""
    front = Identity.load(cluster_folder(cluster.data) / "front")
    environment = {**os.environ, **front.ray_environment(), "PYTHONPATH": PATHS, **variables}
    command = [sys.executable, "-c", CONNECT, cluster.cluster.address]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_the_front_sees_the_head_and_the_node(cluster: JoinedCluster) -> None:
    done = connect(cluster)

    assert done.stdout.split() == ["head", "node-2"], done.stderr[-2000:]


def test_each_port_that_ray_opens_to_every_network_is_said(cluster: JoinedCluster) -> None:
    first = load_options(cluster.data).first_port
    head, node = {cluster.cluster.ray_port, first, first + 1}, {first + PORTS, first + PORTS + 1}
    for member, ports in ((cluster.head, sorted(head)), (cluster.nodes["node-2"], sorted(node))):
        assert wide_ports(member.folder) == ports
        assert port_notice(map(str, ports)) in member.log


def test_ray_refuses_a_wrong_token(cluster: JoinedCluster, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0" * 64)

    done = connect(cluster, RAY_AUTH_TOKEN_PATH=str(tmp_path / "token"))

    assert done.returncode != 0
    assert "InvalidAuthToken" in done.stderr


def test_ray_refuses_a_client_without_a_certificate_even_with_the_token(cluster: JoinedCluster) -> None:
    done = connect(cluster, RAY_USE_TLS="0")

    assert done.returncode != 0
    assert "node-2" not in done.stdout


def test_a_node_whose_raylet_dies_joins_again(cluster: JoinedCluster) -> None:
    node = cluster.nodes["node-2"]
    first = wait_for_a_raylet(node)

    send([first], signal.SIGKILL)
    until(lambda: first not in node.pids("/raylet/raylet") and not node.is_up, 30, "the loss")
    until(lambda: node.is_up, START_TIMEOUT, f"another start: {node.log}")

    assert "node node-2 lost: its raylet has ended with status -9; starts again in " in node.log
    assert connect(cluster).stdout.split() == ["head", "node-2"]


def test_a_node_joins_again_once_a_lost_head_is_back(cluster: JoinedCluster) -> None:
    node = cluster.nodes["node-2"]
    first = wait_for_a_raylet(node)

    began = time.monotonic()
    send(cluster.head.pids(), signal.SIGKILL)
    until(lambda: first not in node.pids("/raylet/raylet"), 60, "the end of the node's raylet")
    noticed = time.monotonic() - began
    until(lambda: node.pids("/raylet/raylet") and node.is_up and cluster.head.is_up, START_TIMEOUT, node.log)

    assert noticed < 30  # Ray's own default is 60 s
    assert connect(cluster).stdout.split() == ["head", "node-2"]


def test_a_second_head_is_refused(cluster: JoinedCluster) -> None:
    command = [sys.executable, "-m", "bananastand", "cluster", "head", "--data", str(cluster.data)]
    environment = {**os.environ, "PYTHONPATH": PATHS}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert "the head of this cluster runs already on this machine" in done.stderr


def test_a_node_that_stops_leaves_no_process_and_no_folder_that_others_can_read(cluster: JoinedCluster) -> None:
    node = cluster.nodes["node-2"]
    assert node.pids()

    assert node.supervisor.stop() == 0

    assert find_marked(f"{FOLDER_VARIABLE}={node.folder}".encode()) == []
    assert node.folder.stat().st_mode & 0o077 == 0
    Registry(cluster_folder(cluster.data)).revoke_tokens()
    node.start()  # it comes again with a key of its own
    until(lambda: node.is_up, START_TIMEOUT, node.log)
