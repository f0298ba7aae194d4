"""Ray clusters for tests: each node is a group of processes of this machine, with an address of its own on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from bananastand.cluster.authority import Authority
from bananastand.cluster.credentials import Cluster, Identity, cluster_folder, create_cluster, issue
from paths import PATHS
from servers import free_port

__all__ = ["RayCluster", "RayNode"]

START_TIMEOUT = 60.0  # seconds for a node to join
ADDRESS = "127.0.1.{}"  # 127.0.0.2 hangs


class RayNode:
    """One node.

    Args:
        cluster: Its cluster.
        number: The last part of its address; 1 for the head.
        cpus: Processors for replicas.
        gpus: GPUs, which need not exist.
        labels: Its labels.
        variables: More environment variables.
    """

    def __init__(
        self,
        cluster: RayCluster,
        number: int,
        *,
        cpus: int = 0,
        gpus: int = 0,
        labels: dict[str, str] | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        self.address, self._folder = ADDRESS.format(number), cluster.folder / f"n{number}"
        is_head = number == 1
        name = "head" if is_head else f"node-{number}"
        self.name, self.identity = name, cluster.identity(name)
        joins = (
            ("--head", "--port", str(cluster.port), "--include-dashboard", "false")
            if is_head
            else ("--address", f"{ADDRESS.format(1)}:{cluster.port}")
        )
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", *joins, "--node-ip-address", self.address,
            "--node-name", name, "--num-cpus", str(cpus), "--num-gpus", str(gpus),
            "--object-store-memory", "80000000", "--include-log-monitor", "false", "--disable-usage-stats",
            "--temp-dir", str(self._folder), "--min-worker-port", "0", "--max-worker-port", "0",
            "--labels", ",".join(f"{key}={value}" for key, value in (labels or {}).items()), "--block",
        ]  # fmt: skip
        environment = {**os.environ, **self.identity.ray_environment(), "PYTHONPATH": PATHS}
        environment |= variables or {}
        with open(cluster.folder / f"{name}.log", "wb") as output:
            self.process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def pids(self, program: str = "") -> list[int]:
        """Return the ids of its processes, of those alone whose command has a word if one is named."""
        found = list[int]()
        with suppress(psutil.Error):
            for process in (own := psutil.Process(self.process.pid), *own.children(recursive=True)):
                with suppress(psutil.Error):
                    if program in " ".join(process.cmdline()):
                        found.append(process.pid)
        return found

    def signal(self, number: int, program: str = "") -> list[int]:
        """Send a signal to its processes, or to those of one program; returns their ids."""
        pids = self.pids(program)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids

    def kill(self) -> None:
        """Kill all of it, as a power cut does."""
        self.signal(signal.SIGKILL)
        self.process.wait()


class RayCluster:
    """A head, which runs no replicas, and nodes that are added.

    Args:
        folder: Of everything; a short path, because Ray makes sockets below it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.data = folder / "front"
        self._cluster = Cluster("tests", ADDRESS.format(1), self.port, encrypts_ray=False)
        hosts = tuple(ADDRESS.format(number) for number in range(1, 10))
        self.front, _ = create_cluster(cluster_folder(self.data), self._cluster, hosts)
        self._hosts = hosts
        self.nodes = dict[int, RayNode]()

    @property
    def address(self) -> str:
        """HOST:PORT of the head."""
        return self._cluster.address

    def identity(self, name: str) -> Identity:
        """Return a node's credentials, which are made once."""
        folder = cluster_folder(self.data) / name
        if (folder / "identity.json").exists():
            return Identity.load(folder)
        return issue(Authority(cluster_folder(self.data)), folder, self._cluster, "node", name, self._hosts)

    def front_in(self, data: Path) -> Identity:
        """Copy the front's credentials to a data directory, and return them."""
        target = cluster_folder(data) / "front"
        shutil.copytree(cluster_folder(self.data) / "front", target, dirs_exist_ok=True)
        return Identity.load(target)

    def add(self, number: int, **options: object) -> RayNode:
        """Start a node, or start it again."""
        node = self.nodes[number] = RayNode(self, number, **options)  # type: ignore[arg-type]
        return node

    def wait(self) -> None:
        """Wait until all nodes have started."""
        deadline = time.monotonic() + START_TIMEOUT
        for node in self.nodes.values():
            log = self.folder / f"{node.name}.log"
            while b"will now block forever" not in log.read_bytes():
                assert node.process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)

    def close(self) -> None:
        """Kill everything."""
        for node in reversed(self.nodes.values()):
            node.kill()
