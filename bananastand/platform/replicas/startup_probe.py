"""Finds out when a starting replica takes calls, and through which client."""

from __future__ import annotations

import time

from .client import ReplicaClient
from .container_forwarder import OTHER_PORT, ContainerForwarder
from .http_client import HttpClient
from .readiness import check_readiness, is_reachable
from .start_command import StartCommand
from .starter import StartedProgram
from .worker_client import WorkerClient

__all__ = ["StartupProbe"]

CONTAINER_HINT = "; let it listen on 0.0.0.0 and the expected port, or deploy with --builder process"
FORWARD_AFTER = 1.0  # seconds without an answer on a container's published port


class StartupProbe:
    """Probes one replica, and keeps the client that reaches it.

    Args:
        replica: The replica's id.
        is_potassium: Whether a Potassium app runs on Potassium's own server.

    Attributes:
        progress: What the start waits for, then how the replica became ready, in words.
        concurrency: Calls at once that the app declares, once it is ready.
    """

    def __init__(self, replica: str, *, is_potassium: bool = False) -> None:
        self.progress = "its program starts"
        self.concurrency = 1
        self._replica, self._is_potassium = replica, is_potassium
        self._started_at = time.monotonic()
        self._worker: WorkerClient | None = None
        self._http: HttpClient | None = None
        self._health_path: str | None = None
        self._forwarder: ContainerForwarder | None = None

    @property
    def worker(self) -> WorkerClient | None:
        """The client of a Potassium app in the worker; None for an app that is a server of its own."""
        return self._worker if self._http is None else None

    @property
    def client(self) -> ReplicaClient | None:
        """The client that reaches the app; None until it is known."""
        return self._http or self._worker

    @property
    def address(self) -> tuple[str, int] | None:
        """The address of an app that is a server of its own; None for others, and until it is known."""
        return self._http.address if self._http is not None else None

    @property
    def failure(self) -> str | None:
        """The step that failed, where the worker reported it."""
        return self._worker.failure if self._worker is not None else None

    def attach(self, started: StartedProgram) -> None:
        """Use the connection to the worker of a program that was started."""
        self._worker = started.worker

    async def is_alive(self, timeout: float) -> bool:
        """Whether the app answers a health check in `timeout` seconds."""
        if self._http is not None:
            return await is_reachable(self._http, self._health_path, timeout)
        return self._worker is not None and await self._worker.is_alive(timeout)

    async def close(self) -> None:
        """Close all connections to the replica."""
        await self._close_forwarder()
        for client in (self._worker, self._http):
            if client is not None:
                await client.close()

    async def is_ready(self, start: StartCommand, started: StartedProgram) -> bool:
        """Probe once; `progress` says what was found."""
        worker = started.worker
        if worker is not None and worker.phase in ("app", "ready", "failed"):
            self.progress = "its init() runs"
            if worker.phase != "ready":
                return False
            self.concurrency = worker.concurrency
            self.progress = f"Potassium {worker.potassium} on Python {worker.python}, hosted by the worker"
            return True
        address = self._find_address(start, started)
        if address is None:
            return False
        is_ready = await self._answers_at(address, start)
        if is_ready and self._forwarder is not None and self._forwarder.address != self.address:
            await self._close_forwarder()
        return is_ready

    async def _answers_at(self, address: tuple[str, int], start: StartCommand) -> bool:
        """Check once whether the app is ready at an address; the forwarder's follows where a published port is mute."""
        if self._http is None or self._http.address != address:
            if self._http is not None:
                await self._http.close()
            trusted = self._replica if start.is_own_host else ""
            self._http = HttpClient(address, replica=trusted, is_potassium=self._is_potassium)
        readiness = await check_readiness(self._http, start.health)
        self.progress = readiness.reason
        if readiness.is_ready:
            self._health_path, self.concurrency = readiness.path, readiness.concurrency
        elif not readiness.answered and start.container is not None and start.engine != "buildah":
            forwarded = self._forward(start)
            if forwarded is not None and forwarded != address:
                return await self._answers_at(forwarded, start)
        return readiness.is_ready

    def _forward(self, start: StartCommand) -> tuple[str, int] | None:
        """Return the forwarder's address; start it when the published port has been mute for `FORWARD_AFTER`."""
        waited = time.monotonic() - self._started_at
        if self._forwarder is None:
            if waited > FORWARD_AFTER:
                self._forwarder = ContainerForwarder(start, waited)
            return None
        self.progress += "".join(f"; {text}" for text in (self._forwarder.listeners, self._forwarder.failure) if text)
        if self._forwarder.failure is not None:
            self.progress += CONTAINER_HINT
        return self._forwarder.address

    async def _close_forwarder(self) -> None:
        if self._forwarder is not None:
            forwarder, self._forwarder = self._forwarder, None
            await forwarder.close()

    def _find_address(self, start: StartCommand, started: StartedProgram) -> tuple[str, int] | None:
        """Return the address of the expected port; after `OTHER_PORT` seconds, of any port that the app has opened."""
        ports = started.ports
        if ports is None or not start.moves_ports:
            return ("127.0.0.1", start.port)
        if (address := ports.address_of(start.port)) is not None:
            return address
        requested = ports.requested_ports
        if not requested:
            self.progress = f"nothing listens on port {start.port} yet"
            return None
        self.progress = f"the app listens on port {requested[0]}, and not on {start.port}"
        return ports.address_of(requested[0]) if time.monotonic() - self._started_at > OTHER_PORT else None
