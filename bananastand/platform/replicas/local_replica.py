"""A replica's program on this machine."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping

from ..nodes import Address, Connect, Forwarder, ReplicaOrder
from .container_forwarder import ContainerForwarder
from .orphans import end_stragglers
from .process import is_stopped, resident_memory, run_quietly
from .start_command import StartCommand
from .starter import StartedProgram
from .worker_client import WorkerClient
from .writable_layer import remove_layer

__all__ = ["LocalReplica", "clean_up"]

REMOVE_CONTAINER = 20.0  # seconds for an engine to remove a container
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # of a program, and of the one that has started it


class LocalReplica:
    """A program that runs on this machine; see `RunningReplica`.

    Args:
        order: What was ordered.
        start: How it was started.
        program: The program.
        gpu: Its GPUs, as CUDA_VISIBLE_DEVICES has them.
    """

    def __init__(self, order: ReplicaOrder, start: StartCommand, program: StartedProgram, gpu: str | None) -> None:
        self.order, self.start, self.program, self.gpu = order, start, program, gpu
        self.node = ""
        self.how, self.warning, self.changed = program.how, program.warning, program.changed
        self.worker: WorkerClient | None = None
        self.connect: Connect | None = None
        self.lost: asyncio.Future[str] | None = None
        self.pid, self.port, self.is_own_host = program.process.pid, start.port, start.is_own_host

    async def attach_worker(self) -> None:
        """Make the client of the worker, for a program in the worker."""
        stream, ports = self.program.stream, self.program.ports
        if stream is None:
            return
        self.worker = WorkerClient()
        self.worker.changed = self.changed
        self.worker.on_bound = ports.add if ports is not None else None
        await self.worker.attach(stream)

    @property
    def addresses(self) -> Mapping[int, Address]:
        """The addresses of the app's listening sockets by the port it asked for."""
        if self.program.ports is None or not self.start.moves_ports:
            return {self.port: ("127.0.0.1", self.port)}
        return self.program.ports.addresses

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self.program.process.status

    @property
    def memory_bytes(self) -> int:
        """The memory that its processes hold."""
        return resident_memory(self.pid)

    @property
    def is_stopped(self) -> bool:
        """Whether one of its processes is stopped by a signal."""
        return is_stopped(self.pid)

    @property
    def was_killed_from_outside(self) -> bool:
        """Whether SIGKILL has ended it that neither the platform nor a limit of its own has sent."""
        process = self.program.process
        if process.was_killed or process.status not in KILLED or self.exceeded_limit() is not None:
            return False
        return self.start.engine is None or process.status == -signal.SIGKILL  # an engine reports its limits as 137

    def exceeded_limit(self) -> str | None:
        """Return the limit of memory or processes that ended it, in words; None if it exceeded none."""
        return self.start.cgroup.exceeded_limit() if self.start.cgroup is not None else None

    def forward(self, waited: float) -> Forwarder | None:
        """Relay to a container whose published port is mute; returns None for what is no container."""
        if self.start.container is None or self.start.engine == "buildah":
            return None
        return ContainerForwarder(self.start, waited)

    async def ended(self) -> int:
        """Wait until it has ended, and return the exit status."""
        return await self.program.process.ended()

    def kill(self) -> None:
        """End it at once, with its descendants."""
        self.program.process.kill()

    async def stop(self, grace: float) -> int:
        """Send SIGTERM, and SIGKILL after `grace` seconds; returns the exit status."""
        return await self.program.process.stop(grace)

    async def clean_up(self) -> None:
        """Remove the container, processes and files that it has left."""
        await clean_up(self.start, self.program)


async def clean_up(start: StartCommand, program: StartedProgram | None) -> None:
    """Remove what a program has left, or a start that has failed.

    Args:
        start: How it was started.
        program: The program; None if its start has failed.
    """
    if program is not None and program.reading is not None:
        program.reading.cancel()
    if start.container is not None and start.engine is not None:
        verb = ("rm",) if start.engine == "buildah" else ("rm", "--force")
        await run_quietly((start.engine, *verb, start.container), start.environment, REMOVE_CONTAINER)
    await asyncio.to_thread(end_stragglers, start)
    if program is not None and program.layer is not None:
        await asyncio.to_thread(remove_layer, program.layer)
