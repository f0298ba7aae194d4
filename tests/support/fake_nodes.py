"""Nodes that are this machine under several names: replicas are reached over streams of the node, which can be lost.

A frozen node says nothing any more, as one whose network is cut; its loss becomes known later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from bananastand.platform.errors import NodeLost, NotFound
from bananastand.platform.nodes import NodeState, P, ReplicaOrder, Resources, RunningReplica
from bananastand.platform.replicas.local_machine import LocalMachine
from bananastand.platform.replicas.local_replica import LocalReplica
from bananastand.platform.replicas.worker_client import WorkerClient
from bananastand.platform.settings import Settings

__all__ = ["FakeNodes", "NodeReplica"]


class FakeNodes:
    """Two nodes, unless `names` has others. `start_losses` starts in a row find their node lost."""

    def __init__(self, settings: Settings, platform: str) -> None:
        self.machine = LocalMachine(settings, platform)
        self.listeners: list[Callable[[], None]] = []
        self.names = ["n1", "n2"]
        self.cordoned = set[str]()
        self.replicas: list[NodeReplica] = []
        self.start_losses = 0
        self.why_single, self.why_never = self.machine.why_single, self.machine.why_never
        self.reserve, self.release, self.close = self.machine.reserve, self.machine.release, self.machine.close

    async def open(self) -> list[str]:
        return ["the nodes are open"]

    def room_for(self, resources: Resources) -> int | None:
        return None if set(self.names) - self.cordoned else 0

    def want(self, resources: Resources) -> None:
        """Nothing adds nodes."""

    async def start(self, order: ReplicaOrder, on_line: Callable[[str], None]) -> RunningReplica:
        if self.start_losses:
            self.start_losses -= 1
            raise NodeLost("node n1 is gone")
        counts = {name: sum(replica.node == name for replica in self.replicas) for name in self.names}
        name = min((name for name in self.names if name not in self.cordoned), key=lambda name: counts[name])
        local = await self.machine.launch(order, on_line)
        replica = NodeReplica(name, local)
        await replica.attach_over_network()
        self.replicas.append(replica)
        return replica

    def lose(self, name: str, after: float = 0.2, *, freeze: bool = True) -> None:
        """Lose a node, which is known `after` seconds: frozen, or killed with its programs."""
        for replica in [replica for replica in self.replicas if replica.node == name]:
            self.replicas.remove(replica)
            replica.leave(f"node {name} is gone", after, freeze=freeze)

    def warm_up(self, running: RunningReplica, modules: Sequence[str], log_event: Callable[[str], None]) -> None:
        pass

    def states(self) -> Sequence[NodeState]:
        counts = {name: sum(replica.node == name for replica in self.replicas) for name in self.names}
        return [
            NodeState(name, "10.0.0.1", {}, 0, 0, 1024, counts[name], is_cordoned=name in self.cordoned)
            for name in self.names
        ]

    def cordon(self, name: str, is_cordoned: bool) -> None:
        if name not in self.names:
            raise NotFound(f"there is no node {name}")
        (self.cordoned.add if is_cordoned else self.cordoned.discard)(name)


class NodeReplica(LocalReplica):
    """A program on a node."""

    def __init__(self, name: str, local: LocalReplica) -> None:
        super().__init__(local.order, local.start, local.program, local.gpu)
        self.node = name
        self.connect = self._open
        self.lost = asyncio.get_running_loop().create_future()
        self._transports: list[asyncio.Transport] = []
        self._is_frozen = self._is_leaving = False

    async def attach_over_network(self) -> None:
        stream, ports = self.program.stream, self.program.ports
        if stream is None:
            return
        self.worker = WorkerClient()
        self.worker.changed = self.changed
        self.worker.on_bound = ports.add if ports is not None else None

        async def open_stream(factory: Callable[[], asyncio.Protocol]) -> Any:
            transport, _ = await asyncio.get_running_loop().create_unix_connection(factory, sock=stream)
            self._transports.append(transport)

        await self.worker.connect(open_stream)

    async def _open(self, protocol_factory: Callable[[], P], host: str, port: int) -> tuple[asyncio.Transport, P]:
        if self._is_frozen:
            await asyncio.sleep(3600)
        transport, protocol = await asyncio.get_running_loop().create_connection(protocol_factory, host, port)
        self._transports.append(transport)
        return transport, protocol

    def leave(self, reason: str, after: float, *, freeze: bool) -> None:
        self._is_frozen, self._is_leaving = freeze, True
        for transport in self._transports:
            transport.pause_reading() if freeze else transport.abort()
        if not freeze:
            self.program.process.kill()
        asyncio.get_running_loop().call_later(after, self._lose, reason)

    def _lose(self, reason: str) -> None:
        assert self.lost is not None
        if not self.lost.done():
            self.lost.set_result(reason)

    async def ended(self) -> int:
        status = await super().ended()
        if self.lost is not None and self._is_leaving:  # nobody is left to report it
            await asyncio.wait({self.lost})
        return status

    async def clean_up(self) -> None:
        self.program.process.kill()
        await super().clean_up()
