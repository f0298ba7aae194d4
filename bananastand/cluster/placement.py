"""Chooses nodes for replicas: pure functions of the nodes and of what is reserved on them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bananastand.platform.nodes import Resources, has_labels

__all__ = [
    "Amounts",
    "Node",
    "Reservation",
    "amounts_of",
    "bundle_of",
    "choose",
    "could_run",
    "fits",
    "node_of",
    "room",
]

ROUNDING = 1e-6
MEMORY = 2**20  # bytes in the unit of a node's memory


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a replica takes of a node: GPUs, processors, MiB of memory."""

    gpus: float
    cpus: float
    memory_mb: int


@dataclass(slots=True)
class Reservation:
    """What is reserved for a replica.

    Attributes:
        node: The id of its node: the one that was chosen, then the one where Ray has placed it.
        deployment: Its version.
        amounts: What it takes.
        gpus: The numbers of its GPUs, once they are known.
        is_shared: Whether its GPUs are others' already, so that it takes none from Ray.
        port: The port that it takes of a node that cannot move ports.
    """

    node: str
    deployment: str
    amounts: Amounts
    gpus: tuple[str, ...] = ()
    is_shared: bool = False
    port: int | None = None


@dataclass(slots=True)
class Node:
    """A node as the bridge has reported it last.

    Attributes:
        relay: The port of its relay.
        certificate: The name in the relay's certificate.
        is_front: Whether it is the platform's own machine, which has all builds.
        is_open: Whether its keeper works.
        warm: The versions with a fork server there.
        seen: Seconds since it was heard of.
        problem: Why it cannot be used.
        port_problem: Why ports cannot be moved there.
    """

    id: str
    name: str
    address: str
    labels: Mapping[str, str]
    cpus: float
    gpus: float
    memory_mb: int
    gpu_memory_gb: float | None = None
    relay: int | None = None
    certificate: str = ""
    is_front: bool = False
    is_open: bool = False
    warm: Collection[str] = ()
    seen: float = 0.0
    problem: str | None = None
    port_problem: str | None = None
    unpacked: set[str] = field(default_factory=set[str])


def node_of(message: Mapping[str, Any]) -> Node:
    """Return a node of the bridge's message."""
    return Node(**message)


def amounts_of(resources: Resources, nodes: Iterable[Node]) -> Amounts:
    """Return what a replica takes.

    Without a number of GPUs it takes one where a node with its labels has GPUs. A replica without GPUs takes a
    processor, so that a cluster without GPUs is not overrun.
    """
    gpus = resources.gpus
    if gpus is None:
        gpus = float(any(node.gpus and _suits(node, resources) for node in nodes))
    return Amounts(gpus, 0.0 if gpus else 1.0, resources.memory_mb or 0)


def could_run(node: Node, resources: Resources, amounts: Amounts) -> bool:
    """Return whether a node could run a replica if it ran nothing else."""
    has_enough = node.gpus >= amounts.gpus and node.cpus >= amounts.cpus and node.memory_mb >= amounts.memory_mb
    return _suits(node, resources) and has_enough


def fits(node: Node, amounts: Amounts, reserved: Iterable[Reservation]) -> int:
    """Return how many replicas fit on a node beside what is reserved there."""
    gpus, cpus, memory = _free(node, reserved)
    counts = [_count(gpus, amounts.gpus), math.floor((cpus + ROUNDING) / amounts.cpus) if amounts.cpus else math.inf]
    counts.append(memory // amounts.memory_mb if amounts.memory_mb else math.inf)
    least = min(counts)
    return 0 if least == math.inf else max(0, int(least))


def room(nodes: Iterable[Node], amounts: Amounts, reserved: Collection[Reservation]) -> int:
    """Return how many further replicas there is room for; negative where replicas share GPUs."""
    sharing = sum(entry.is_shared for entry in reserved)
    return -sharing if sharing else sum(fits(node, amounts, reserved) for node in nodes)


def choose(nodes: Iterable[Node], amounts: Amounts, reserved: Collection[Reservation], deployment: str) -> Node | None:
    """Return the best node that has room: one with a warm fork server, one with the build, the least loaded one."""
    fitting = [node for node in nodes if fits(node, amounts, reserved)]

    def rank(node: Node) -> tuple[int, float, str]:
        tier = 0 if deployment in node.warm else 1 if node.is_front or deployment in node.unpacked else 2
        return tier, _load(node, reserved), node.name

    return min(fitting, key=rank, default=None)


def bundle_of(amounts: Amounts) -> dict[str, float]:
    """Return what a replica takes in Ray's words."""
    bundle = {"GPU": amounts.gpus, "CPU": amounts.cpus, "memory": float(amounts.memory_mb * MEMORY)}
    return {name: amount for name, amount in bundle.items() if amount}


def _suits(node: Node, resources: Resources) -> bool:
    """Return whether a node has the labels, and GPUs with the memory, that a replica needs."""
    if resources.gpu_memory_gb is not None and (node.gpu_memory_gb or 0.0) + ROUNDING < resources.gpu_memory_gb:
        return False
    return has_labels(node.labels, resources.labels)


def _free(node: Node, reserved: Iterable[Reservation]) -> tuple[float, float, int]:
    gpus, cpus, memory = node.gpus, node.cpus, node.memory_mb
    for entry in reserved:
        if entry.node == node.id and not entry.is_shared:
            gpus, cpus, memory = gpus - entry.amounts.gpus, cpus - entry.amounts.cpus, memory - entry.amounts.memory_mb
    return gpus, cpus, memory


def _count(free: float, share: float) -> float:
    """Return how many times a number of GPUs, or a share of one, fits into what is free."""
    if not share:
        return math.inf
    if share >= 1:
        return math.floor((free + ROUNDING) / share)
    part, full = math.modf(free + ROUNDING)
    each_gpu = math.floor((1 + ROUNDING) / share)
    return full * each_gpu + math.floor((part + ROUNDING) / share)


def _load(node: Node, reserved: Iterable[Reservation]) -> float:
    """Return the largest part of a node's GPUs or processors that is taken."""
    gpus, cpus, _ = _free(node, reserved)
    parts = [1 - free / total for free, total in ((gpus, node.gpus), (cpus, node.cpus)) if total]
    return max(parts, default=1.0)
