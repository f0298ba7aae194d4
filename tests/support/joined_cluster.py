"""A cluster as a user has it, by `bananastand cluster head` and `bananastand join`: each node has an address of its own
on loopback. `ray_cluster` is quicker to start and lacks the supervisors.
"""

from __future__ import annotations

import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from bananastand.cluster.credentials import FOLDER_VARIABLE, Cluster, cluster_folder
from bananastand.cluster.head import init_cluster
from bananastand.cluster.ray_process import PORTS, NodeOptions, taken_port
from bananastand.cluster.registry import Registry
from bananastand.platform.replicas.reaper import find_marked
from bananastand.platform.replicas.start_command import PLATFORM_VARIABLE
from faults import command_of, send, until
from paths import PATHS
from servers import Process, free_port

__all__ = ["JoinedCluster", "JoinedNode"]

START_TIMEOUT = 180.0  # seconds for a node to join on a loaded machine
ADDRESS = "127.0.1.{}"  # 127.0.0.2 hangs
OBJECT_STORE_MB = 80


class JoinedNode:
    """A machine with a supervisor of Ray's node, and whatever runs on it.

    Args:
        name: Its name.
        address: Its address.
        folder: With its credentials.
        arguments: Of the command that runs it.
        prefix: Of that command.
    """

    def __init__(self, name: str, address: str, folder: Path, arguments: list[str], prefix: Sequence[str] = ()) -> None:
        self.name, self.address, self.folder = name, address, folder
        self._command = [*prefix, sys.executable, "-m", "bananastand", *arguments]
        self.start()

    def start(self) -> None:
        """Start its supervisor, or start it again."""
        self.supervisor = Process(self._command, PYTHONPATH=PATHS)

    @property
    def log(self) -> str:
        return self.supervisor.log

    @property
    def is_up(self) -> bool:
        """Whether Ray runs, as far as its supervisor knows."""
        lines = [line for line in self.supervisor.lines if f"node {self.name} " in line]
        return bool(lines) and " lost: " not in lines[-1]

    def pids(self, word: str = "") -> list[int]:
        """The processes of Ray there, of those alone whose command has a word if one is named."""
        found = find_marked(f"{FOLDER_VARIABLE}={self.folder}".encode())
        return [pid for pid in found if word in command_of(pid)]

    def replicas(self, platform: str) -> list[int]:
        """The processes of a platform's replicas and fork servers there."""
        return find_marked(f"{PLATFORM_VARIABLE}={platform}@{self.address}".encode())

    def everything(self, platform: str) -> list[int]:
        """All processes there, its supervisor first."""
        own = [self.supervisor.process.pid] if self.supervisor.process.poll() is None else []
        roots = [*own, *self.pids(), *self.replicas(platform)]
        return list(dict.fromkeys(pid for root in roots for pid in with_children(root)))

    def cut_power(self, platform: str) -> None:
        """Kill everything there."""
        send(self.everything(platform), signal.SIGKILL)
        self.supervisor.ended()

    def stop(self) -> None:
        """Stop it as Ctrl-C does, and kill what is left of it."""
        send(self.pids(), signal.SIGCONT)
        self.supervisor.process.send_signal(signal.SIGCONT)
        self.supervisor.stop()
        send(self.pids(), signal.SIGKILL)


class JoinedCluster:
    """A head without replicas, and nodes.

    Args:
        data: The data directory of the platform that will use it.
        folder: Of the nodes; a short path.
        cpus: Of each node; one replica takes one.
        nodes: How many.
        label: Of each node.
        address: Of a machine with the number in the braces; the head is the first.
        prefixes: Of the commands that run a node, by its number.
    """

    def __init__(
        self,
        data: Path,
        folder: Path,
        *,
        cpus: int = 2,
        nodes: int = 2,
        label: str = "of=tests",
        address: str = ADDRESS,
        prefixes: Mapping[int, Sequence[str]] | None = None,
    ) -> None:
        self.data, self.folder = data, folder
        base, join_port = free_ports(nodes + 1), free_port()
        first = NodeOptions(address.format(1), cpus=0, gpus=0, first_port=base, object_store_mb=OBJECT_STORE_MB)
        ports = {"ray_port": free_port(), "enrolment_port": join_port}
        self.cluster: Cluster = init_cluster(data, first, **ports)
        token = Registry(cluster_folder(data)).create_token("node", 24 * 3600)
        self.head = JoinedNode("head", first.address, cluster_folder(data) / "head",
                               ["cluster", "head", "--data", str(data)])  # fmt: skip
        until(lambda: self.head.is_up, START_TIMEOUT, f"the head: {self.head.log}")
        self.nodes = dict[str, JoinedNode]()
        for number in range(2, 2 + nodes):
            name, place = f"node-{number}", folder / f"n{number}"
            values = {"token": token, "name": name, "cpus": cpus, "gpus": 0, "address": address.format(number),
                      "folder": place, "first-port": base + (number - 1) * PORTS, "label": label,
                      "object-store": OBJECT_STORE_MB}  # fmt: skip
            arguments = ["join", f"{first.address}:{join_port}"]
            arguments += [word for option, value in values.items() for word in (f"--{option}", str(value))]
            self.nodes[name] = JoinedNode(
                name, address.format(number), place, arguments, (prefixes or {}).get(number, ())
            )

    def wait(self) -> None:
        """Wait until all nodes have joined."""
        for node in self.nodes.values():
            until(lambda node=node: node.is_up, START_TIMEOUT, f"{node.name}: {node.log}")

    def close(self) -> None:
        """Stop everything, and remove what Ray has left in /tmp."""
        for node in (*self.nodes.values(), self.head):
            with suppress(ProcessLookupError):
                node.stop()
            shutil.rmtree(node.folder / "ray", ignore_errors=True)

    def logs(self) -> str:
        """What the supervisors have printed."""
        return "\n".join(f"{node.name}:\n{node.log}" for node in (self.head, *self.nodes.values()))


def free_ports(nodes: int) -> int:
    """The first of free ports for so many nodes."""
    while True:
        base = random.randrange(10_000, 31_000, PORTS)
        if not any(taken_port(base + number * PORTS) for number in range(nodes)):
            return base


def with_children(pid: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        yield pid
        yield from (child.pid for child in process.children(recursive=True))


def wait_for_a_raylet(node: JoinedNode) -> int:
    """The id of a node's raylet, once it has one."""
    limit = time.monotonic() + START_TIMEOUT
    while not (found := node.pids("/raylet/raylet")):
        assert time.monotonic() < limit, node.log
        time.sleep(0.2)
    return found[0]
