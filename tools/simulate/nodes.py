"""Fake nodes: they die, freeze, come back, are cordoned, and say that they have room when they do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from bananastand.platform.errors import NodeLost, ReplicaFailed
from bananastand.platform.launch import Launch
from bananastand.platform.nodes import NodeState, ReplicaOrder, Resources, RunningReplica

from .machines import Machine, RunningMachine
from .world import World

__all__ = ["SimulatedNode", "SimulatedNodes"]

NOTICED = 9.0  # seconds after which a node that says nothing counts as lost
LOST = "the node {} is gone"


class SimulatedNode:
    """A node with GPUs, each for one replica.

    Attributes:
        state: "up", "dead", or "frozen": nothing reaches it, and nothing comes from it.
        is_lost: Whether the platform knows that it is gone.
        is_cordoned: Whether it gets no further replicas.
        machines: Its programs by the replica's id; None for one that is reserved and not started.
        thawed: Set while it is not frozen.
        lost: Done once the platform knows that it is gone.
    """

    def __init__(self, name: str, gpus: int) -> None:
        self.name, self.gpus = name, gpus
        self.machines: dict[str, Machine | None] = {}
        self.is_cordoned = False
        self.come_up()

    def come_up(self) -> None:
        """Begin anew, without programs."""
        self.state = "up"
        self.machines.clear()
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def is_lost(self) -> bool:
        """Whether the platform knows that it is gone."""
        return self.lost.done()

    @property
    def free(self) -> int:
        """How many GPUs are free, as far as the platform knows."""
        return 0 if self.is_lost or self.is_cordoned else max(0, self.gpus - len(self.machines))


class SimulatedNodes:
    """All nodes of one life of the platform.

    Args:
        world: Decides what happens.
        is_over: Whether the end of a run is recorded.
        count: How many nodes; 0 for one machine without GPUs, which takes any number of replicas.
        gpus: Of each node.
    """

    def __init__(self, world: World, is_over: Callable[[str], bool], count: int, gpus: int) -> None:
        self._world, self._is_over, self._limited = world, is_over, count > 0
        self.nodes = [SimulatedNode(f"node {number}", gpus) for number in range(max(count, 1))]
        self.listeners: list[Callable[[], None]] = []
        self._of_replica: dict[str, SimulatedNode] = {}
        self._with_room = {node.name: node for node in self.nodes}
        self._free_of = {node.name: node.free for node in self.nodes}
        self._free = gpus * count
        self._pids = 1000
        self._troubles: list[asyncio.Task[None]] = []

    # What the platform asks for.

    async def open(self) -> list[str]:
        if self._limited:
            self._troubles = [asyncio.create_task(self._trouble(node)) for node in self.nodes]
        return []

    def room_for(self, resources: Resources) -> int | None:
        if not self._limited:
            return None
        return self._free + self._world.happens(self._world.profile.node_lies)

    def want(self, resources: Resources) -> None:
        """Nothing adds nodes."""

    def why_never(self, resources: Resources) -> str | None:
        return None

    def why_single(self, launch: Launch) -> str | None:
        return None

    def reserve(self, order: ReplicaOrder) -> bool:
        if not self._limited:
            node = self.nodes[0]
        elif not self._with_room or self._world.happens(self._world.profile.node_lies):
            return False
        else:
            node = next(iter(self._with_room.values()))
        node.machines[order.replica] = None
        self._of_replica[order.replica] = node
        self._count(node)
        return True

    async def start(self, order: ReplicaOrder, on_line: Callable[[str], None]) -> RunningReplica:
        """Start a program. Raises NodeLost, ReplicaFailed."""
        node, lost = self._of_replica[order.replica], self._of_replica[order.replica].lost
        if order.replica not in node.machines:
            raise NodeLost(LOST.format(node.name))
        await self._reach(node, lost, self._world.soon(0.05))
        if self._world.happens(self._world.profile.bad_start / 4):
            self._world.faults += 1
            raise ReplicaFailed("python cannot be started: Cannot allocate memory")
        self._pids += 1
        machine = Machine(self._world, self._is_over, self._pids, order.replica, node.thawed)
        node.machines[order.replica] = machine
        machine.boot()
        return RunningMachine(machine, node.name if self._limited else "", lost if self._limited else None)

    def release(self, replica: str) -> None:
        node = self._of_replica.pop(replica, None)
        if node is not None and replica in node.machines:
            del node.machines[replica]
            self._count(node)

    def warm_up(self, running: RunningReplica, modules: Sequence[str], log_event: Callable[[str], None]) -> None:
        pass

    def states(self) -> Sequence[NodeState]:
        return [
            NodeState(node.name, node.name, {}, node.gpus, node.free, 0, len(node.machines), node.is_cordoned)
            for node in self.nodes
            if not node.is_lost
        ]

    def cordon(self, name: str, is_cordoned: bool) -> None:
        node = next(node for node in self.nodes if node.name == name)
        node.is_cordoned = is_cordoned
        self._count(node)
        self._notify()

    async def close(self) -> None:
        for task in self._troubles:
            task.cancel()

    # What happens to them.

    @property
    def reserved(self) -> set[str]:
        """The replicas for which something is reserved."""
        return set(self._of_replica)

    def node_of(self, replica: str) -> SimulatedNode | None:
        """Return the node of a replica."""
        return self._of_replica.get(replica)

    def die(self) -> None:
        """What a killed platform has left is ended by the next one."""
        for node in self.nodes:
            for machine in node.machines.values():
                if machine is not None:
                    machine.die("orphan", quietly=True)
            node.machines.clear()

    async def _reach(self, node: SimulatedNode, lost: asyncio.Future[str], seconds: float) -> None:
        """Wait for a node. Raises NodeLost."""
        await asyncio.sleep(seconds)
        if node.state == "frozen":
            thaw = asyncio.ensure_future(node.thawed.wait())
            await asyncio.wait({lost, thaw}, return_when=asyncio.FIRST_COMPLETED)
            thaw.cancel()
        elif node.state == "dead":
            await asyncio.wait({lost})
        if lost.done() or node.lost is not lost:
            raise NodeLost(LOST.format(node.name))

    async def _trouble(self, node: SimulatedNode) -> None:
        world, profile = self._world, self._world.profile
        while not world.healing and not world.dead and (profile.node_loss or profile.node_freeze or profile.cordons):
            await asyncio.sleep(world.soon(10.0))
            if world.happens(profile.cordons):
                world.note(node.name, "is cordoned")
                self.cordon(node.name, True)
                await asyncio.sleep(world.soon(10.0))
                self.cordon(node.name, False)
            if world.happens(profile.node_freeze):
                await self._freeze(node)
            if world.happens(profile.node_loss):
                await self._lose(node)

    async def _freeze(self, node: SimulatedNode) -> None:
        """Let nothing pass for a while; the platform may take the node for lost meanwhile."""
        node.state, seconds = "frozen", self._world.soon(NOTICED)
        node.thawed.clear()
        self._world.note(node.name, f"is frozen for {seconds:.1f} s")
        await asyncio.sleep(min(seconds, NOTICED))
        if seconds > NOTICED:
            self._notice(node)
            await asyncio.sleep(seconds - NOTICED)
        self._world.note(node.name, "thaws")
        node.thawed.set()
        if node.is_lost:
            self._come_back(node)
            return
        node.state = "up"
        for machine in list(node.machines.values()):
            if machine is not None:
                machine.resume()

    async def _lose(self, node: SimulatedNode) -> None:
        """Let it and its programs die; that becomes known later, and some time after that it comes back."""
        self._world.note(node.name, "dies")
        node.state = "dead"
        if self._world.chance.random() < 0.5:  # else the network says nothing
            for machine in list(node.machines.values()):
                if machine is not None:
                    machine.vanish()
                    machine.break_connections()
        await asyncio.sleep(0.5)
        node.thawed.clear()
        await asyncio.sleep(self._world.soon(2.0))
        self._notice(node)
        await asyncio.sleep(self._world.soon(10.0))
        self._come_back(node)

    def _notice(self, node: SimulatedNode) -> None:
        """Let the platform know that a node is gone."""
        self._world.note(node.name, "is known to be gone")
        machines = [machine for machine in node.machines.values() if machine is not None]
        node.lost.set_result(LOST.format(node.name))
        for machine in machines:
            machine.vanish()
        self._count(node)
        self._notify()

    def _come_back(self, node: SimulatedNode) -> None:
        self._world.note(node.name, "comes back")
        for machine in node.machines.values():
            if machine is not None:
                machine.vanish()
        node.come_up()
        self._count(node)
        self._notify()

    def _count(self, node: SimulatedNode) -> None:
        """Bring up to date where there is room, without a look at the other nodes."""
        self._free += node.free - self._free_of[node.name]
        self._free_of[node.name] = node.free
        if node.free:
            self._with_room[node.name] = node
        else:
            self._with_room.pop(node.name, None)

    def _notify(self) -> None:
        for listener in self.listeners:
            listener()
