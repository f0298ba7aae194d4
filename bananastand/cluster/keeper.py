"""The platform's deputy on a node: starts replicas there, watches them, and reports. It knows nothing of Ray.

`ray_nodes` makes it an actor, one on each node. Programs are started as on a single machine, by `LocalMachine`; their
bytes go through the node's relay. Nothing durable is here. When the keeper is gone, so are its programs (`reaper`).
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from bananastand.platform.errors import ReplicaFailed, StoreError, StoreFull
from bananastand.platform.gpus import list_models
from bananastand.platform.nodes import Forwarder
from bananastand.platform.replicas.local_machine import LocalMachine
from bananastand.platform.replicas.local_replica import LocalReplica
from bananastand.platform.replicas.moved_ports import redirection_problem
from bananastand.platform.replicas.orphans import end_orphans
from bananastand.platform.replicas.process import with_descendants
from bananastand.platform.replicas.reaper import start_reaper
from bananastand.platform.replicas.start_command import PLATFORM_VARIABLE
from bananastand.platform.settings import Settings, default_data
from bananastand.platform.store.pack_cache import HeldPack
from bananastand.platform.store.private_files import UMASK

from .credentials import FOLDER_VARIABLE, Identity, check_role, server_context
from .images import EngineMissing
from .node_files import NodeFiles, NodeUnfit
from .relay import Relay
from .versions import own_versions
from .wire import order_from_message

__all__ = ["Keeper", "node_folder"]

Event = dict[str, Any]
POLL = 2.0  # seconds after which a wait for events ends without any
LOOK = 1.0  # seconds between two looks at the memory of replicas
QUEUE = 4  # chunks of a pack that wait for the disk
LINE_SIZE = 100  # characters of an event beside its line
MAX_LINES = 4 * 2**20  # characters of lines that wait for the bridge; what an app prints beyond is dropped
FORWARDER_LOOK = 0.2  # seconds between two looks at a forwarder
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(slots=True)
class _Entry:
    """A replica of this node.

    Attributes:
        running: Its program; None until it is started.
        held: Its build's files.
        tasks: What watches it.
        own_ports: Ports of it that were looked up.
    """

    running: LocalReplica | None = None
    held: HeldPack | None = None
    forwarder: Forwarder | None = None
    is_attached: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    own_ports: set[int] = field(default_factory=set[int])


class Keeper:
    """One node's keeper for one platform. All its coroutines are called from the bridge; they run at the same time."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._receiving: dict[int, asyncio.Queue[bytes | None]] = {}
        self._events = list[Event]()
        self._waiting = 0  # characters of the lines among them
        self._dropped = Counter[str]()  # lines by replica
        self._has_events = asyncio.Event()

    async def versions(self) -> dict[str, str]:
        """Return what is installed here, to be compared before anything else is asked."""
        return own_versions()

    async def open(self, options: dict[str, Any]) -> dict[str, Any]:
        """Begin to work.

        Args:
            options: platform (the id of its data directory), address and name of the node, gpus (how many), front (the
                front's data directory where this is its own machine, else None), encrypted (whether the relay uses
                TLS), and settings that replicas here have as at home.

        Returns:
            The relay's port, the name in its certificate, labels, the memory of a GPU, why ports cannot be moved here,
            and sentences for the start.
        """
        os.umask(UMASK)
        mark = f"{options['platform']}@{options['address']}"
        messages = await asyncio.to_thread(end_orphans, mark)
        self._reaper = await asyncio.to_thread(start_reaper, f"{PLATFORM_VARIABLE}={mark}")
        folder = node_folder(options["name"])
        self._files = NodeFiles(folder)
        await asyncio.to_thread(self._files.sweep)
        models = await asyncio.to_thread(list_models)
        settings = Settings(
            data=Path(options["front"] or folder),
            gpus=tuple(str(number) for number in range(options["gpus"])),
            **options["settings"],
        )
        self._machine = LocalMachine(settings, mark, models=models)
        if options["cgroups"]:
            self._machine.use_cgroups()
        identity = Identity.load(Path(os.environ.get(FOLDER_VARIABLE, ""))) if options["encrypted"] else None
        context = server_context(identity) if identity is not None else None
        cluster = identity.cluster.id if identity is not None else ""
        self._relay = Relay(
            options["address"], context, partial(check_role, cluster=cluster, role="front"), self._open_stream
        )
        port = await self._relay.open()
        self._looking = asyncio.create_task(self._look())
        return {
            "relay": port,
            "certificate": identity.name if identity is not None else "",
            "labels": dict(self._machine.states()[0].labels),
            "gpu_memory_gb": min((model.memory_gb for model in models.values()), default=None),
            "port_problem": await asyncio.to_thread(redirection_problem),
            "messages": messages,
        }

    async def events(self) -> list[Event]:
        """Return what has happened since the last call; waits for something for at most 2 s."""
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL):
                await self._has_events.wait()
        for replica, count in self._dropped.items():
            self._add(kind="log", replica=replica, line=f"{count} lines are dropped: it prints faster than they travel")
        self._dropped.clear()
        events, self._events, self._waiting = self._events, [], 0
        self._has_events.clear()
        return events

    # Builds

    async def missing(self, shipment: dict[str, Any]) -> dict[str, Any]:
        """Return what has to be sent for a build, as `NodeFiles.missing` does, or why it cannot run here."""
        try:
            return {"needs": await self._files.missing(shipment)}
        except (NodeUnfit, EngineMissing) as error:
            return {"unfit": str(error)}

    async def expect(self, transfer: int) -> None:
        """Get ready for the chunks of a transfer."""
        self._receiving[transfer] = asyncio.Queue(QUEUE)

    async def receive(self, transfer: int, need: dict[str, Any], digest: str) -> dict[str, Any]:
        """Store what the chunks of a transfer bring; returns once it is stored, or why it is not."""
        queue = self._receiving[transfer]
        try:
            await self._files.receive(need, digest, _until_end(queue))
            return {}
        except StoreFull as error:
            return {"full": f"its disk is full ({self._files.folder}): {error}"}
        except StoreError as error:
            return {"failed": str(error)}
        finally:
            del self._receiving[transfer]
            while not queue.empty():  # so that nobody waits for room in it
                queue.get_nowait()

    async def chunk(self, transfer: int, chunk: bytes | None) -> bool:
        """Take the next chunk of a transfer, None for its end; returns False if the transfer has ended already."""
        if (queue := self._receiving.get(transfer)) is None:
            return False
        await queue.put(chunk)
        return True

    # Replicas

    async def start(self, message: dict[str, Any], shipment: dict[str, Any] | None) -> dict[str, Any]:
        """Start the program of an order, whose build is here; returns what `RemoteReplica` has to know, or why not."""
        order = order_from_message(message)
        entry = self._entries[order.replica] = _Entry()
        order = replace(order, resources=replace(order.resources, labels={}, gpu_memory_gb=None))
        try:
            if shipment is not None:
                launch, entry.held = await self._files.localize(order.launch, shipment)
                order = replace(order, launch=launch)
            if not self._machine.reserve(order):
                raise ReplicaFailed(self._machine.why_never(order.resources) or "the node has no room for it")
            running = await self._machine.launch(order, partial(self._add_line, order.replica))
        except (ReplicaFailed, StoreError) as error:
            self._let_go(order.replica)
            return {"failed": str(error)}
        except BaseException:
            self._let_go(order.replica)
            raise
        entry.running = running
        if self._entries.get(order.replica) is not entry:  # it was cleaned up meanwhile
            await _remove(running)
            return {"failed": "its start was cancelled"}
        entry.tasks = [
            asyncio.create_task(self._watch_ports(order.replica, running)),
            asyncio.create_task(self._watch_end(order.replica, running)),
        ]
        return {
            "gpu": running.gpu,
            "how": running.how,
            "warning": running.warning,
            "pid": running.pid,
            "port": running.port,
            "is_own_host": running.is_own_host,
            "has_worker": running.program.stream is not None,
            "addresses": _addresses(running),
            "is_container": running.start.container is not None and running.start.engine != "buildah",
        }

    async def kill(self, replica: str) -> None:
        """End a replica at once."""
        if (running := self._running(replica)) is not None:
            running.kill()

    async def stop(self, replica: str, grace: float) -> None:
        """Send SIGTERM, and SIGKILL after `grace` seconds."""
        if (running := self._running(replica)) is not None:
            await running.stop(grace)

    async def clean_up(self, replica: str) -> None:
        """Remove what a replica has left, and forget it. A program that still runs is killed."""
        entry, running = self._entries.get(replica), self._running(replica)
        self._let_go(replica)
        if entry is not None and running is not None:
            if running.program.stream is not None and not entry.is_attached:
                running.program.stream.close()
            await _remove(running)

    async def warm_up(self, replica: str, modules: list[str]) -> None:
        """Have a fork server for the next replicas of a version."""
        if (running := self._running(replica)) is not None:
            self._machine.warm_up(running, modules, lambda line: self._add(kind="log", replica=replica, line=line))

    async def forward(self, replica: str, waited: float) -> None:
        """Relay to a container whose published port is mute; what comes of it is an event."""
        entry, running = self._entries.get(replica), self._running(replica)
        if entry is not None and running is not None and entry.forwarder is None:
            entry.forwarder = running.forward(waited)
            if entry.forwarder is not None:
                entry.tasks.append(asyncio.create_task(self._watch_forwarder(replica, entry.forwarder)))

    async def close_forwarder(self, replica: str) -> None:
        """End the forwarder of a container."""
        if (entry := self._entries.get(replica)) is not None and (forwarder := entry.forwarder) is not None:
            entry.forwarder = None
            await forwarder.close()

    async def close(self) -> None:
        """End everything on this node."""
        self._relay.close()
        self._looking.cancel()
        await asyncio.gather(*(self.clean_up(replica) for replica in list(self._entries)))
        await self._machine.close()
        os.close(self._reaper)

    def _running(self, replica: str) -> LocalReplica | None:
        entry = self._entries.get(replica)
        return entry.running if entry is not None else None

    def _let_go(self, replica: str) -> None:
        entry = self._entries.pop(replica, None)
        if entry is not None:
            for task in entry.tasks:
                task.cancel()
            if entry.held is not None:
                entry.held.release()
        self._machine.release(replica)

    # Events

    def _add(self, **event: Any) -> None:
        self._events.append(event)
        self._has_events.set()

    def _add_line(self, replica: str, line: str) -> None:
        if self._waiting > MAX_LINES:
            self._dropped[replica] += 1
            return
        self._waiting += len(line) + LINE_SIZE
        self._add(kind="line", replica=replica, line=line)

    async def _watch_ports(self, replica: str, running: LocalReplica) -> None:
        known = _addresses(running)
        while True:
            await running.changed.wait()
            running.changed.clear()
            if (addresses := _addresses(running)) != known:
                known = addresses
                self._add(kind="ports", replica=replica, addresses=addresses)

    async def _watch_end(self, replica: str, running: LocalReplica) -> None:
        status = await running.ended()
        limit, outside = running.exceeded_limit(), running.was_killed_from_outside
        self._add(kind="ended", replica=replica, status=status, limit=limit, outside=outside)

    async def _watch_forwarder(self, replica: str, forwarder: Forwarder) -> None:
        known: tuple[Any, ...] = ()
        while True:
            now = forwarder.address, forwarder.listeners, forwarder.failure
            if now != known:
                known = now
                self._add(kind="forwarder", replica=replica, address=now[0], listeners=now[1], failure=now[2])
            await asyncio.sleep(FORWARDER_LOOK)

    async def _look(self) -> None:
        """Report memory and stopped programs of all replicas, and warm versions, whenever they change."""
        known: dict[str, Any] = {}
        while True:
            await asyncio.sleep(LOOK)
            running = {id: entry.running for id, entry in self._entries.items() if entry.running is not None}
            live = {id: replica for id, replica in running.items() if replica.status is None}
            replicas = await asyncio.to_thread(_measure, live)
            warm = list(self._machine.states()[0].warm)
            now = {"replicas": replicas, "warm": warm}
            if now != known:
                known = now
                self._add(kind="look", **now)

    # The relay

    async def _open_stream(self, target: dict[str, Any], factory: Callable[[], Any]) -> None:
        """Connect what a front has asked the relay for. Raises OSError."""
        loop, id = asyncio.get_running_loop(), target["replica"]
        entry, running = self._entries.get(id), self._running(id)
        if entry is None or running is None:
            raise ConnectionRefusedError(f"no replica {id} runs here")
        if target.get("worker"):
            if running.program.stream is None or entry.is_attached:
                raise ConnectionRefusedError(f"the worker of replica {id} cannot be reached twice")
            entry.is_attached = True
            await loop.create_unix_connection(factory, sock=running.program.stream)
            return
        host, port = str(target["host"]), int(target["port"])
        if not await self._belongs(entry, running, host, port):
            raise ConnectionRefusedError(f"port {port} is none of replica {id}'s")
        await loop.create_connection(factory, host, port)

    @staticmethod
    async def _belongs(entry: _Entry, running: LocalReplica, host: str, port: int) -> bool:
        """Whether a front may reach a port of this machine: a replica's own, or its container's."""
        if (host, port) in running.addresses.values() or (host in LOOPBACK and port in entry.own_ports):
            return True
        if entry.forwarder is not None and entry.forwarder.address == (host, port):
            return True
        if host in LOOPBACK and port in await asyncio.to_thread(_listening_ports, running.pid):
            entry.own_ports.add(port)
            return True
        return False


def node_folder(name: str) -> Path:
    """Return the folder of a node for builds and credentials: the one of its identity, where it has one."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else default_data().expanduser().resolve() / "nodes" / name.replace("/", "-")


def _addresses(running: LocalReplica) -> list[list[Any]]:
    """Return the listening sockets as JSON: requested port, address and port of each."""
    return [[requested, *address] for requested, address in running.addresses.items()]


def _measure(running: Mapping[str, LocalReplica]) -> dict[str, list[Any]]:
    return {id: [replica.memory_bytes, replica.is_stopped] for id, replica in running.items()}


def _listening_ports(pid: int) -> set[int]:
    """Return the ports that a process and its descendants listen on."""
    found = set[int]()
    for process in with_descendants(pid):
        with suppress(psutil.Error):
            for connection in psutil.Process(process).net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    found.add(connection.laddr.port)
    return found


async def _remove(running: LocalReplica) -> None:
    """End a program that still runs, and remove what it has left."""
    if running.status is None:
        running.kill()
        await running.ended()
    await running.clean_up()


async def _until_end(queue: asyncio.Queue[bytes | None]) -> AsyncGenerator[bytes]:
    while (chunk := await queue.get()) is not None:
        yield chunk
