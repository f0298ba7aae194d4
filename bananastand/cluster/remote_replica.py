"""A replica on a node, as the platform sees it: commands go through the bridge, its bytes through the node's relay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bananastand.platform.errors import NodeLost
from bananastand.platform.nodes import Address, Connect, Forwarder
from bananastand.platform.replicas.worker_client import WorkerClient

from .relay_client import Door

__all__ = ["RemoteReplica"]

P = TypeVar("P", bound=asyncio.BaseProtocol)
Send = Callable[..., None]
CLEAN_TIMEOUT = 30.0  # seconds for a node to remove what a replica has left


class RemoteReplica:
    """A program on a node; see `RunningReplica`.

    Args:
        id: The replica's id.
        on_line: Called with each line that it prints.
        send: Sends a message to the bridge.
    """

    def __init__(self, id: str, on_line: Callable[[str], None], send: Send) -> None:
        loop = asyncio.get_running_loop()
        self.id, self.on_line, self._send = id, on_line, send
        self.log_event: Callable[[str], None] = on_line
        self.node = self.how = ""
        self.gpu: str | None = None
        self.warning: str | None = None
        self.changed = asyncio.Event()
        self.worker: WorkerClient | None = None
        self._lost: asyncio.Future[str] = loop.create_future()
        self.lost: asyncio.Future[str] | None = self._lost
        self.connect: Connect | None = self._connect
        self.pid = self.port = 0
        self.is_own_host = False
        self.memory_bytes, self.is_stopped = 0, False
        self.was_killed_from_outside = False
        self.deployment = ""
        self._addresses: dict[int, Address] = {}
        self._end: asyncio.Future[int] = loop.create_future()
        self._cleaned: asyncio.Future[None] = loop.create_future()
        self._limit: str | None = None
        self._is_container = False
        self._forwarder: _RemoteForwarder | None = None
        self._door: Door | None = None

    async def begin(self, facts: Mapping[str, Any], node: str, door: Door) -> None:
        """Use what the node has reported at the start, and attach the client of the worker.

        Args:
            facts: The keeper's.
            node: The node's name.
            door: The node's relay.

        Raises:
            NodeLost: The relay does not lead to the worker.
        """
        self.node, self._door, self.gpu = node, door, facts["gpu"]
        self.how, self.warning, self.pid = facts["how"], facts["warning"], facts["pid"]
        self.port, self.is_own_host = facts["port"], facts["is_own_host"]
        self._is_container = facts["is_container"]
        self._set_addresses(facts["addresses"])
        if facts["has_worker"]:
            worker = WorkerClient()
            worker.changed, worker.on_bound = self.changed, self._add_address
            try:
                await worker.connect(lambda factory: door.connect(factory, {"replica": self.id, "worker": True}))
            except OSError as error:
                raise NodeLost(
                    f"the relay of node {node} at {door.host}:{door.port} cannot be used: {error}"
                ) from error
            self.worker = worker

    async def _connect(self, protocol_factory: Callable[[], P], host: str, port: int) -> tuple[asyncio.Transport, P]:
        """Open a stream to one of its ports, through the relay. Raises OSError."""
        assert self._door is not None, "only a replica that has begun is called"
        if self._lost.done():
            raise ConnectionError(self._lost.result())
        return await self._door.connect(protocol_factory, {"replica": self.id, "host": host, "port": port})

    @property
    def addresses(self) -> Mapping[int, Address]:
        """The addresses of the app's listening sockets by the port it asked for."""
        return self._addresses

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._end.result() if self._end.done() else None

    def exceeded_limit(self) -> str | None:
        """Return the limit of memory or processes that ended it, in words; None if it exceeded none."""
        return self._limit

    def forward(self, waited: float) -> Forwarder | None:
        """Have the node relay to a container whose published port is mute; returns None for what is no container."""
        if not self._is_container:
            return None
        self._forwarder = _RemoteForwarder(lambda: self._call("close_forwarder"))
        self._call("forward", waited)
        return self._forwarder

    async def ended(self) -> int:
        """Wait until it has ended, and return the exit status."""
        return await asyncio.shield(self._end)

    def kill(self) -> None:
        """End it at once, with its descendants."""
        self._call("kill")

    async def stop(self, grace: float) -> int:
        """Send SIGTERM, and SIGKILL after `grace` seconds; returns the exit status."""
        self._call("stop", grace)
        return await self.ended()

    def warm_up(self, modules: list[str], log_event: Callable[[str], None]) -> None:
        """Have a fork server for the next replicas of its version on its node."""
        self.log_event = log_event
        self._call("warm_up", modules)

    async def clean_up(self) -> None:
        """Remove what it has left on its node; a program that still runs there is killed."""
        self._send("clean_up", replica=self.id)
        await asyncio.wait({self._cleaned, self._lost}, timeout=CLEAN_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)

    # What the bridge reports

    def lose(self, reason: str) -> None:
        """Note that its node is gone."""
        if not self._lost.done():
            self._lost.set_result(reason)
            self.changed.set()

    def note_cleaned(self) -> None:
        """Note that the node has removed what it has left."""
        if not self._cleaned.done():
            self._cleaned.set_result(None)

    def note(self, event: Mapping[str, Any]) -> None:
        """Take an event of its node."""
        match event["kind"]:
            case "line":
                self.on_line(event["line"])
            case "log":
                self.log_event(event["line"])
            case "ports":
                self._set_addresses(event["addresses"])
                self.changed.set()
            case "ended":
                self._limit, self.was_killed_from_outside = event["limit"], event["outside"]
                if not self._end.done():
                    self._end.set_result(event["status"])
                self.changed.set()
            case "forwarder":
                if self._forwarder is not None:
                    address = event["address"]
                    self._forwarder.address = tuple(address) if address is not None else None
                    self._forwarder.listeners, self._forwarder.failure = event["listeners"], event["failure"]
            case _:
                pass

    def _set_addresses(self, addresses: list[list[Any]]) -> None:
        for requested, host, port in addresses:
            self._addresses[requested] = (host, port)

    def _add_address(self, requested: int, host: str, port: int) -> None:
        self._addresses[requested] = (host, port)
        self.changed.set()

    def _call(self, method: str, *arguments: Any) -> None:
        self._send("call", replica=self.id, method=method, arguments=list(arguments))


class _RemoteForwarder:
    """A forwarder on a node; see `Forwarder`."""

    def __init__(self, close: Callable[[], None]) -> None:
        self.address: Address | None = None
        self.listeners: str | None = None
        self.failure: str | None = None
        self._close = close

    async def close(self) -> None:
        """End it."""
        self._close()
