"""Where replicas run: what the platform orders of its nodes, and what a program that runs on one offers it.

`replicas.local_machine` is the default: this machine. A cluster implements the same two protocols. Everything that
belongs to one machine (ports, GPUs, cgroups, isolation, fork servers, folders) stays behind them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from .launch import Launch

if TYPE_CHECKING:
    from .replicas.worker_client import WorkerClient

__all__ = [
    "Address",
    "Connect",
    "Forwarder",
    "NodeState",
    "Nodes",
    "ReplicaOrder",
    "Resources",
    "RunningReplica",
    "has_labels",
]

Address = tuple[str, int]
P = TypeVar("P", bound=asyncio.BaseProtocol)


@dataclass(frozen=True, slots=True)
class Resources:
    """What one replica takes of a node.

    Attributes:
        gpus: GPUs: a whole number, or a share of one below 1; None for one on a node that has GPUs, and none elsewhere.
        gpu_memory_gb: The memory that each of its GPUs has at least, in GiB; None for any.
        memory_mb: The memory that the replica may hold, in MiB; None for no limit.
        labels: Labels that its node has, such as {"gpu": "a100"}; `has_labels` compares them.
    """

    gpus: float | None = None
    gpu_memory_gb: float | None = None
    memory_mb: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class ReplicaOrder:
    """Everything that a node needs to start a replica. It can be pickled; its secrets are never written to a disk.

    Attributes:
        replica: The replica's id.
        project: The project's id.
        deployment: The id of the version, which is that of its build.
        launch: What the build made.
        host: "potassium" to run a Potassium app on its own server.
        concurrency: Calls at once; 0 for what the app declares.
        secrets: Variables of the app beside those of the launch.
        resources: What the replica takes of its node.
        may_share_gpu: Whether it may share GPUs that are taken, as the first replica of a version.
        gpus: GPUs of the node that are chosen already, by their numbers; None for the node to choose.
    """

    replica: str
    project: str
    deployment: str
    launch: Launch
    host: str = "bananastand"
    concurrency: int = 0
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    resources: Resources = field(default_factory=Resources)
    may_share_gpu: bool = False
    gpus: tuple[str, ...] | None = None


class Connect(Protocol):
    """Opens a byte stream to a port of a replica's program, with the interface of `loop.create_connection`."""

    async def __call__(self, protocol_factory: Callable[[], P], host: str, port: int) -> tuple[asyncio.Transport, P]:
        """Connect, once the program itself has accepted the connection.

        Args:
            protocol_factory: Makes the protocol that gets the stream. It writes nothing before this returns.
            host: Of an address that the running replica has named.
            port: Likewise.

        Raises:
            OSError: Nothing has reached the program.
        """
        ...


class Forwarder(Protocol):
    """Relays to an app in a container that does not listen where the published port leads to.

    Attributes:
        address: The address that leads to the app; None until there is one.
        listeners: What listens in the container, in words; None until it is known.
        failure: Why nothing can be forwarded, in words.
    """

    address: Address | None
    listeners: str | None
    failure: str | None

    async def close(self) -> None:
        """End it."""
        ...


class RunningReplica(Protocol):
    """A program that runs on a node. Its bytes may come over a relay; nothing here blocks.

    Attributes:
        node: The node's name; "" on this machine.
        gpu: Its GPUs as CUDA_VISIBLE_DEVICES has them; None without.
        how: How it was started, for the log.
        warning: What it lacks of its isolation, for the log.
        changed: Set whenever `worker` or the listening sockets have news, or the program has ended.
        worker: The client of a program in the worker, attached to its stream; None for others.
        connect: Opens streams to the addresses below; None where they are addresses of this machine.
        lost: Done when the node is gone, or cannot be reached, with the reason in words. The program need not have
            ended, and `ended` may never return. None on this machine.
        pid: The id of its process group on its node.
        port: The port on which the app is expected to listen.
        is_own_host: Whether it is `bananastand serve`, which no response of its app can imitate.
    """

    node: str
    gpu: str | None
    how: str
    warning: str | None
    changed: asyncio.Event
    worker: WorkerClient | None
    connect: Connect | None
    lost: asyncio.Future[str] | None
    pid: int
    port: int
    is_own_host: bool

    @property
    def addresses(self) -> Mapping[int, Address]:
        """The addresses of the app's listening sockets by the port it asked for, the latest last.

        Where sockets are not moved, the expected port leads to itself on loopback from the start.
        """
        ...

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        ...

    @property
    def memory_bytes(self) -> int:
        """The memory that its processes hold, as it was measured last."""
        ...

    @property
    def is_stopped(self) -> bool:
        """Whether one of its processes is stopped by a signal."""
        ...

    @property
    def was_killed_from_outside(self) -> bool:
        """Whether SIGKILL has ended it that neither the platform, its node nor a limit of its own has sent."""
        ...

    def exceeded_limit(self) -> str | None:
        """Return the limit of memory or processes that ended it, in words; None if it exceeded none."""
        ...

    def forward(self, waited: float) -> Forwarder | None:
        """Have the node relay to a container whose published port is mute; returns None for what is no container.

        Args:
            waited: Seconds since the start of the replica.
        """
        ...

    async def ended(self) -> int:
        """Wait until it has ended, and return the exit status."""
        ...

    def kill(self) -> None:
        """End it at once, with its descendants."""
        ...

    async def stop(self, grace: float) -> int:
        """Send SIGTERM, and SIGKILL after `grace` seconds; returns the exit status."""
        ...

    async def clean_up(self) -> None:
        """Remove what it has left on its node: processes, a container, folders. To be awaited once, after its end."""
        ...


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node as it is now.

    Attributes:
        name: Its name, unique among the nodes; "" for this machine, as in `RunningReplica.node`.
        address: Its address for people to read.
        labels: Its labels; "gpu" names the model of its GPUs.
        gpus: How many GPUs it has for replicas.
        free_gpus: How many of them are free, in parts where replicas share one.
        memory_mb: Its memory, in MiB; 0 where it is unknown.
        replicas: How many replicas it runs or starts.
        is_cordoned: Whether it gets no further replicas.
        warm: The versions of which it has a fork server.
        seen: Seconds since it was last heard of.
        problem: Why it does not work as it should, in words.
    """

    name: str
    address: str
    labels: Mapping[str, str]
    gpus: int
    free_gpus: float
    memory_mb: int
    replicas: int
    is_cordoned: bool = False
    warm: tuple[str, ...] = ()
    seen: float = 0.0
    problem: str | None = None


class Nodes(Protocol):
    """All nodes of a platform.

    A replica's resources are reserved at once (`reserve`), its program is started later (`start`), and the resources
    are free again when the replica has ended and is cleaned up (`release`).

    Attributes:
        listeners: Called when nodes, or what is free on them, have changed by themselves; not for `release`.
    """

    listeners: list[Callable[[], None]]

    async def open(self) -> list[str]:
        """Begin to work; returns sentences about what an earlier platform left on the nodes."""
        ...

    def room_for(self, resources: Resources) -> int | None:
        """Return how many further replicas may be started now; None for any number.

        Negative where replicas share GPUs that they should not share for long.
        """
        ...

    def want(self, resources: Resources) -> None:
        """Note that a replica is missing and finds no room, for what may add nodes. Nothing has to come of it."""
        ...

    def why_never(self, resources: Resources) -> str | None:
        """Return why no node there is could run such a replica, even if it ran nothing else; None where one could."""
        ...

    def why_single(self, launch: Launch) -> str | None:
        """Return why two replicas of a launch cannot run at the same time, in words; None where they can."""
        ...

    def reserve(self, order: ReplicaOrder) -> bool:
        """Reserve what an order needs; returns False where there is no room now."""
        ...

    async def start(self, order: ReplicaOrder, on_line: Callable[[str], None]) -> RunningReplica:
        """Start the program of an order that is reserved. A cancelled start leaves nothing behind.

        Args:
            order: What to start.
            on_line: Called with each line that it prints.

        Raises:
            NodeLost: The node is gone, or cannot be reached; this is no fault of the version's.
            ReplicaFailed: The program cannot be started.
        """
        ...

    def release(self, replica: str) -> None:
        """Free what was reserved for a replica (by id); nothing happens if nothing is reserved."""
        ...

    def warm_up(self, running: RunningReplica, modules: Sequence[str], log_event: Callable[[str], None]) -> None:
        """Have a fork server for the next replicas of a version.

        Args:
            running: A replica of it that is ready, from `start`.
            modules: Names of the modules that its app has imported.
            log_event: Called with each line of the fork server's log.
        """
        ...

    def states(self) -> Sequence[NodeState]:
        """Return the nodes, ordered by name."""
        ...

    def cordon(self, name: str, is_cordoned: bool) -> None:
        """Start no further replicas on a node, or allow them again. Raises NotFound.

        Replicas that run there stay. To drain a node, `Pool.drain_node` moves their traffic first.
        """
        ...

    async def close(self) -> None:
        """End everything; all replicas have ended before."""
        ...


def has_labels(node: Mapping[str, str], requested: Mapping[str, str]) -> bool:
    """Return whether a node has the requested labels.

    Values are equal without regard to case. The value of "gpu" is a model: gpu=a100 fits a node whose label is
    a100-sxm4-80gb, because all its words occur there.
    """
    for name, value in requested.items():
        own = node.get(name)
        if own is None:
            return False
        if name == "gpu":
            if not set(_words(value)) <= set(_words(own)):
                return False
        elif own.lower() != value.lower():
            return False
    return True


def _words(model: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", model.lower())
