"""The nodes of a cluster for a platform: what is reserved on them, and the replicas that run there."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bananastand.platform.errors import Conflict, NodeLost, NotFound, ReplicaFailed
from bananastand.platform.launch import Launch
from bananastand.platform.nodes import NodeState, ReplicaOrder, Resources, RunningReplica
from bananastand.platform.replicas.start_command import fixed_port
from bananastand.platform.settings import Settings
from bananastand.platform.store.private_files import make_folder, open_private

from .bridge import Bridge
from .credentials import Identity, client_context, cluster_folder
from .placement import (
    Amounts,
    Node,
    Reservation,
    amounts_of,
    bundle_of,
    choose,
    could_run,
    node_of,
    room,
)
from .relay_client import Door
from .remote_replica import RemoteReplica
from .wire import Message, order_message

__all__ = ["ClusterNodes"]

log = logging.getLogger("bananastand.cluster")

CONNECT_TIMEOUT = 40.0  # seconds for which a start waits for the cluster
REST = 60.0  # seconds without replicas for a node whose disk is full, or whose relay cannot be reached
SHOWN_SECONDS = 15.0  # seconds for which demand is shown to an autoscaler after it was noticed last


class ClusterNodes:
    """`Nodes` over a Ray cluster.

    Args:
        settings: Of the platform.
        platform: The id of its data directory.
        address: HOST:PORT of Ray's head.
        front: The platform's credentials in the cluster.
        encrypted: Whether relays use TLS; without it nodes have to be on loopback.
    """

    def __init__(
        self, settings: Settings, platform: str, *, address: str, front: Identity, encrypted: bool = True
    ) -> None:
        self.listeners: list[Callable[[], None]] = []
        self._address = address
        self._context = client_context(front) if encrypted else None
        options = {
            "address": address,
            "platform": platform,
            "data": str(settings.data),
            "encrypted": encrypted,
            "settings": {
                "isolation": settings.isolation,
                "network": settings.network,
                "processes": settings.processes,
                "memory_mb": settings.memory_mb,
                "fork_servers": settings.fork_servers,
            },
            "cgroups": True,
        }
        folder = make_folder(cluster_folder(settings.data))
        log_file = folder / "bridge.log"
        self._bridge = Bridge(options, front.ray_environment(), self._handle, self._lose_all, log_file)
        self._nodes: dict[str, Node] = {}
        self._head_seen = 0.0
        self._reserved: dict[str, Reservation] = {}
        self._resources: dict[str, Resources] = {}  # of reserved replicas
        self._replicas: dict[str, RemoteReplica] = {}
        self._starting: dict[str, asyncio.Future[Message]] = {}
        self._resting: dict[tuple[str, str], tuple[float, str]] = {}  # (node, version or "") -> until when, why
        self._unpacked: dict[str, set[str]] = {}  # versions by the name of a node
        self._demand: dict[str, tuple[float, dict[str, Any]]] = {}
        self._demand_timer: asyncio.TimerHandle | None = None
        self._cordons = folder / "cordoned.json"
        self._cordoned = _read_cordons(self._cordons)

    async def open(self) -> list[str]:
        """Connect to the cluster. Raises Conflict where no attempt will succeed."""
        self._bridge.start()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                while not self._bridge.is_connected and not self._bridge.is_hopeless:
                    self._bridge.changed.clear()
                    await self._bridge.changed.wait()
                while self._bridge.is_connected and not any(node.is_open for node in self._nodes.values()):
                    self._bridge.changed.clear()
                    await self._bridge.changed.wait()
        except TimeoutError:
            pass
        if self._bridge.is_hopeless:
            await self._bridge.close()
            raise Conflict(self._bridge.problem or "the cluster cannot be used")
        if not self._bridge.is_connected:
            return [f"cluster: {self._bridge.problem or 'its head does not answer'}; replicas start once it does"]
        gpus = sum(node.gpus for node in self._nodes.values())
        names = ", ".join(sorted(node.name for node in self._nodes.values())) or "none yet: bananastand join"
        problems = [f"cluster: {node.problem}" for node in self._nodes.values() if node.problem is not None]
        return [f"cluster: {self._address}, {gpus:g} GPUs on {len(self._nodes)} nodes ({names})", *problems]

    def room_for(self, resources: Resources) -> int | None:
        """Return how many further replicas may be started now."""
        nodes = list(self._usable(resources))
        amounts = amounts_of(resources, self._nodes.values())
        return room(nodes, amounts, self._reserved.values())

    def why_never(self, resources: Resources) -> str | None:
        """Return why no node could run such a replica; None where one could, or no node is known."""
        nodes = list(self._nodes.values())
        amounts = amounts_of(resources, nodes)
        if not nodes or any(could_run(node, resources, amounts) for node in nodes):
            return None
        needs = [f"{amounts.gpus:g} GPUs"] if amounts.gpus else []
        needs += [f"of {resources.gpu_memory_gb:g} GiB"] if resources.gpu_memory_gb is not None else []
        needs += [f"{amounts.memory_mb} MiB of memory"] if amounts.memory_mb else []
        needs += [f"the label {name}={value}" for name, value in sorted(resources.labels.items())]
        has = "; ".join(_describe(node) for node in sorted(nodes, key=lambda node: node.name))
        return f"a replica needs {' '.join(needs) or 'a processor'}, and no node has that: {has}"

    def why_single(self, launch: Launch) -> str | None:
        """Return why no further replica of a launch can run: a node that cannot move ports takes one of each port."""
        port = fixed_port(launch)
        nodes = [node for node in self._nodes.values() if node.is_open]
        if not nodes or any(self._has_port(node, port) for node in nodes):
            return None
        names = ", ".join(sorted(node.name for node in nodes))
        return f"the app fixes port {port}, which is taken on {names}: ports cannot be moved ({nodes[0].port_problem})"

    def reserve(self, order: ReplicaOrder) -> bool:
        """Reserve what an order needs on the best node; returns False where there is no room now."""
        amounts = amounts_of(order.resources, self._nodes.values())
        port = fixed_port(order.launch)
        usable = [node for node in self._usable(order.resources, order.deployment) if self._has_port(node, port)]
        node = choose(usable, amounts, self._reserved.values(), order.deployment)
        if node is not None:
            reservation = Reservation(node.id, order.deployment, amounts)
        elif order.may_share_gpu and (shared := self._share(usable, amounts, order.deployment)) is not None:
            reservation = shared
        else:
            return False
        reservation.port = port
        self._reserved[order.replica], self._resources[order.replica] = reservation, order.resources
        return True

    def want(self, resources: Resources) -> None:
        """Show an autoscaler of the cluster for some seconds that such a replica is wanted and finds no room."""
        amounts = amounts_of(resources, self._nodes.values())
        if resources.gpus is None and resources.labels:  # a node with these labels may have GPUs once there is one
            amounts = amounts_of(Resources(gpus=1.0, memory_mb=resources.memory_mb), ())
        demand = {"bundle": bundle_of(amounts), "labels": dict(resources.labels)}
        key = json.dumps(demand, sort_keys=True)
        was_known = key in self._demand
        self._demand[key] = (time.monotonic() + SHOWN_SECONDS, demand)
        if not was_known:
            self._send_demand()
        if self._demand_timer is None:
            self._demand_timer = asyncio.get_running_loop().call_later(SHOWN_SECONDS * 0.8, self._ask_again)

    async def start(self, order: ReplicaOrder, on_line: Callable[[str], None]) -> RunningReplica:
        """Start the program of an order on its node. Raises NodeLost, ReplicaFailed."""
        reservation = self._reserved.get(order.replica)
        if reservation is None or not self._bridge.is_connected:
            raise NodeLost(f"the cluster cannot be reached: {self._bridge.problem or 'nothing is reserved any more'}")
        id = order.replica
        replica = self._replicas[id] = RemoteReplica(id, on_line, self._bridge.send)
        replica.deployment = order.deployment
        self._starting[id] = started = asyncio.get_running_loop().create_future()
        try:
            self._bridge.send(
                "start",
                order=order_message(order),
                bundle=self._bundle(reservation),
                target=reservation.node,
                excluded=self._excluded(order),
                gpus=list(reservation.gpus) if reservation.is_shared else None,
            )
            facts = await started
            await self._begin(replica, reservation, facts)
            return replica
        except BaseException:
            self._replicas.pop(id, None)
            self._bridge.send("cancel", replica=id)
            self._bridge.send("clean_up", replica=id)
            raise
        finally:
            self._starting.pop(id, None)

    def release(self, replica: str) -> None:
        """Free what was reserved for a replica."""
        self._replicas.pop(replica, None)
        self._resources.pop(replica, None)
        if self._reserved.pop(replica, None) is not None:
            self._bridge.send("release", replica=replica)

    def warm_up(self, running: RunningReplica, modules: Sequence[str], log_event: Callable[[str], None]) -> None:
        """Have a fork server for the next replicas of a version on the node of one."""
        if isinstance(running, RemoteReplica):
            running.warm_up(list(modules), log_event)

    def states(self) -> Sequence[NodeState]:
        """Return the nodes, ordered by name."""
        reserved = list(self._reserved.values())
        return [
            NodeState(
                name=node.name,
                address=node.address,
                labels=dict(node.labels),
                gpus=int(node.gpus),
                free_gpus=max(0.0, node.gpus - sum(entry.amounts.gpus for entry in reserved if entry.node == node.id)),
                memory_mb=node.memory_mb,
                replicas=sum(entry.node == node.id for entry in reserved),
                is_cordoned=node.name in self._cordoned,
                warm=tuple(node.warm),
                seen=node.seen + (time.monotonic() - self._head_seen),
                problem=self._problem_of(node),
            )
            for node in sorted(self._nodes.values(), key=lambda node: node.name)
        ]

    def cordon(self, name: str, is_cordoned: bool) -> None:
        """Start no further replicas on a node, or allow them again. Raises NotFound."""
        names = {node.name for node in self._nodes.values()}
        if name not in names and not (name in self._cordoned and not is_cordoned):
            raise NotFound(f"there is no node {name[:100]}; there are {', '.join(sorted(names)) or 'none'}")
        self._cordoned = self._cordoned | {name} if is_cordoned else self._cordoned - {name}
        with open(self._cordons, "w", encoding="utf-8", opener=open_private) as file:
            json.dump(sorted(self._cordoned), file)
        self._notify()

    async def close(self) -> None:
        """End the bridge, the keepers and what is left on the nodes."""
        await self._bridge.close()

    # Nodes

    def _usable(self, resources: Resources, deployment: str = "") -> Iterator[Node]:
        """Yield the nodes that may get a replica now, whether they have room or not."""
        if not self._bridge.is_connected:
            return
        amounts = amounts_of(resources, self._nodes.values())
        for node in self._nodes.values():
            is_allowed = node.is_open and node.problem is None and node.name not in self._cordoned
            if is_allowed and self._rests(node, deployment) is None and could_run(node, resources, amounts):
                yield node

    def _excluded(self, order: ReplicaOrder) -> list[str]:
        """Return the ids of the nodes that must not get an order's replica.

        A node that cannot move ports gets a fixed one only if it was chosen: others may be given to the next order.
        """
        reservation, usable = self._reserved[order.replica], self._usable(order.resources, order.deployment)
        allowed = {
            node.id
            for node in usable
            if node.id == reservation.node or reservation.port is None or node.port_problem is None
        }
        return sorted(self._nodes.keys() - allowed)

    def _has_port(self, node: Node, port: int | None) -> bool:
        """Whether a further replica that fixes a port can run on a node."""
        if port is None or node.port_problem is None:
            return True
        return all(entry.node != node.id or entry.port != port for entry in self._reserved.values())

    def _problem_of(self, node: Node) -> str | None:
        return node.problem or self._rests(node, "") or (None if node.is_open else "its keeper starts")

    def _rests(self, node: Node, deployment: str) -> str | None:
        """Return why a node gets no replica for now, of any version or of one; None where it does."""
        for key in ((node.name, ""), (node.name, deployment)):
            until, reason = self._resting.get(key, (0.0, ""))
            if until > time.monotonic():
                return reason
        return None

    def _rest(self, node: Node, deployment: str, reason: str) -> None:
        self._resting[node.name, deployment] = (time.monotonic() + REST, reason)
        asyncio.get_running_loop().call_later(REST + 0.1, self._notify)

    def _share(self, usable: list[Node], amounts: Amounts, deployment: str) -> Reservation | None:
        """Return a reservation of GPUs that others have, where a version is tried for the first time."""
        if not amounts.gpus:
            return None
        counts = [(sum(entry.node == node.id for entry in self._reserved.values()), node) for node in usable]
        for _, node in sorted(counts, key=lambda pair: (pair[0], pair[1].name)):
            for entry in self._reserved.values():
                if entry.node == node.id and len(entry.gpus) >= amounts.gpus:
                    gpus = entry.gpus[: max(1, int(amounts.gpus))]
                    return Reservation(node.id, deployment, amounts, gpus, is_shared=True)
        return None

    def _bundle(self, reservation: Reservation) -> dict[str, float]:
        if not reservation.is_shared:
            return bundle_of(reservation.amounts)
        return {f"node:{self._nodes[reservation.node].address}": 0.001}

    def _ask_again(self) -> None:
        """Have the platform look for room again: what is still wanted is said again, and the rest is forgotten."""
        self._demand_timer = None
        self._notify()
        asyncio.get_running_loop().call_later(SHOWN_SECONDS * 0.2 + 0.1, self._forget_demand)

    def _forget_demand(self) -> None:
        now = time.monotonic()
        current = {key: entry for key, entry in self._demand.items() if entry[0] > now}
        if len(current) < len(self._demand):
            self._demand = current
            self._send_demand()

    def _send_demand(self) -> None:
        self._bridge.send("want", bundles=[demand for _, demand in self._demand.values()])

    # The bridge's messages

    def _handle(self, message: Message) -> None:
        kind = message["kind"]
        if kind == "nodes":
            self._update(message)
        elif kind == "events":
            for event in message["events"]:
                try:
                    self._note(event)
                except (KeyError, TypeError, ValueError) as error:  # the others of the node count all the same
                    log.warning("cluster: node %.8s reports what cannot be read: %r", message["node"], error)
        elif kind == "placed":
            if (reservation := self._reserved.get(message["replica"])) is not None:
                reservation.node = message["node"]
        elif kind in ("started", "failed"):
            started = self._starting.get(message["replica"])
            if started is not None and not started.done():
                started.set_result(message)
        elif kind == "cleaned":
            if (replica := self._replicas.get(message["replica"])) is not None:
                replica.note_cleaned()
        elif kind == "lost":
            self._lose_node(message["node"], message["reason"])

    def _update(self, message: Message) -> None:
        before = {node.id: (node.is_open, node.problem, node.gpus) for node in self._nodes.values()}
        self._nodes = {about["id"]: node_of(about) for about in message["nodes"]}
        self._head_seen = time.monotonic() - message["head_seen"]
        for node in self._nodes.values():
            node.unpacked = self._unpacked.setdefault(node.name, set())
        now = {node.id: (node.is_open, node.problem, node.gpus) for node in self._nodes.values()}
        if now != before:
            for node in self._nodes.values():
                if node.problem is not None and before.get(node.id, (False, None, 0))[1] != node.problem:
                    log.warning("cluster: node %s: %s", node.name, node.problem)
            self._bridge.changed.set()
            self._notify()

    def _note(self, event: Mapping[str, Any]) -> None:
        if event["kind"] == "look":
            for id, (memory, is_stopped) in event["replicas"].items():
                if (replica := self._replicas.get(id)) is not None:
                    replica.memory_bytes, replica.is_stopped = memory, is_stopped
        elif (replica := self._replicas.get(event["replica"])) is not None:
            replica.note(event)

    async def _begin(self, replica: RemoteReplica, reservation: Reservation, facts: Message) -> None:
        """Take what has become of a start. Raises NodeLost, ReplicaFailed."""
        node = self._nodes.get(facts["node"] or "")
        if facts["kind"] == "failed":
            raise self._failure(replica, node, facts)
        if node is None or node.relay is None:
            raise NodeLost("its node is gone")
        reservation.gpus = tuple(facts["gpu"].split(",")) if facts["gpu"] else ()
        door = Door(node.address, node.relay, node.certificate, self._context)
        try:
            await replica.begin(facts, node.name, door)
        except NodeLost as error:
            self._rest(node, "", f"{error}: is the port open between the machines?")
            raise
        self._unpacked.setdefault(node.name, set()).add(replica.deployment)

    def _failure(self, replica: RemoteReplica, node: Node | None, facts: Message) -> ReplicaFailed:
        """Return the error of a start that failed, and let the node rest where it is the node's fault."""
        text: str = facts["text"]
        if facts["reason"] == "failed":
            return ReplicaFailed(text)
        if facts["reason"] == "full" and node is not None:
            self._rest(node, "", text)
        if facts["reason"] == "unfit" and node is not None:
            self._rest(node, replica.deployment, text)
            resources = self._resources.get(replica.id, Resources())
            if not any(self._usable(resources, replica.deployment)):
                return ReplicaFailed(text)  # no other node may do better
        return NodeLost(text)

    def _lose_node(self, id: str, reason: str) -> None:
        name = self._nodes[id].name if id in self._nodes else id[:8]
        for replica, reservation in list(self._reserved.items()):
            if reservation.node == id and (lost := self._replicas.get(replica)) is not None:
                lost.lose(f"node {name} was lost: {reason}")
        self._notify()

    def _lose_all(self) -> None:
        """Note that the bridge has ended, and with it all keepers."""
        reason = self._bridge.problem or "the bridge to the cluster has ended"
        self._nodes.clear()
        for replica, started in self._starting.items():
            if not started.done():
                started.set_result(
                    {"kind": "failed", "reason": "lost", "text": reason, "node": None, "replica": replica}
                )
        for replica in list(self._replicas.values()):
            replica.lose(reason)
        self._notify()

    def _notify(self) -> None:
        for listener in self.listeners:
            listener()


def _describe(node: Node) -> str:
    labels = ",".join(f"{name}={value}" for name, value in sorted(node.labels.items()))
    size = f" of {node.gpu_memory_gb:.0f} GiB" if node.gpu_memory_gb else ""
    return f"{node.name} has {node.gpus:g} GPUs{size}, {node.memory_mb} MiB, {labels or 'no labels'}"


def _read_cordons(path: Path) -> frozenset[str]:
    try:
        return frozenset(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return frozenset()
