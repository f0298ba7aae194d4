"""Finds out when a starting replica takes calls, and through which client."""

from __future__ import annotations

import time

from ..nodes import Address, Forwarder, RunningReplica
from .client import ReplicaClient
from .container_forwarder import OTHER_PORT
from .http_client import HttpClient
from .readiness import check_readiness, is_reachable
from .worker_client import WorkerClient

__all__ = ["StartupProbe"]

CONTAINER_HINT = "; let it listen on 0.0.0.0 and the expected port, or deploy with --builder process"
FORWARD_AFTER = 1.0  # seconds without an answer on a container's published port
POTASSIUM_STATUS = "/_k/status"  # of Potassium's own server


class StartupProbe:
    """Probes one replica, and keeps the client that reaches it.

    Args:
        replica: The replica's id.
        health: The path that answers 200 when the app is ready; None to try the known ones.
        is_potassium: Whether a Potassium app runs on Potassium's own server.

    Attributes:
        progress: What the start waits for, then how the replica became ready, in words.
        concurrency: Calls at once that the app declares, once it is ready.
    """

    def __init__(self, replica: str, *, health: str | None = None, is_potassium: bool = False) -> None:
        self.progress = "its program starts"
        self.concurrency = 1
        self._replica, self._health, self._is_potassium = replica, health, is_potassium
        self._started_at = time.monotonic()
        self._worker: WorkerClient | None = None
        self._http: HttpClient | None = None
        self._health_path: str | None = None
        self._forwarder: Forwarder | None = None

    @property
    def worker(self) -> WorkerClient | None:
        """The client of a Potassium app in the worker; None for an app that is a server of its own."""
        return self._worker if self._http is None else None

    @property
    def client(self) -> ReplicaClient | None:
        """The client that reaches the app; None until it is known."""
        return self._http or self._worker

    @property
    def address(self) -> Address | None:
        """The address of an app that is a server of its own; None for others, and until it is known."""
        return self._http.address if self._http is not None else None

    @property
    def failure(self) -> str | None:
        """The step that failed, where the worker reported it."""
        return self._worker.failure if self._worker is not None else None

    @property
    def health_path(self) -> str | None:
        """The path at which the app, as a server of its own, answers 200 once it is ready; None if none is known."""
        if self._http is None and self._worker is not None and self._worker.potassium:
            return POTASSIUM_STATUS
        return self._health_path

    def attach(self, running: RunningReplica) -> None:
        """Use the client of the worker of a program that was started."""
        self._worker = running.worker

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

    async def is_ready(self, running: RunningReplica) -> bool:
        """Probe once; `progress` says what was found."""
        worker = running.worker
        if worker is not None and worker.phase in ("app", "ready", "failed"):
            self.progress = "its init() runs"
            if worker.phase != "ready":
                return False
            self.concurrency = worker.concurrency
            self.progress = f"Potassium {worker.potassium} on Python {worker.python}, hosted by the worker"
            return True
        address = self._find_address(running)
        if address is None:
            return False
        is_ready = await self._answers_at(address, running)
        if is_ready and self._forwarder is not None and self._forwarder.address != self.address:
            await self._close_forwarder()
        return is_ready

    async def _answers_at(self, address: Address, running: RunningReplica) -> bool:
        """Check once whether the app is ready at an address; the forwarder's follows where a published port is mute."""
        if self._http is None or self._http.address != address:
            if self._http is not None:
                await self._http.close()
            trusted = self._replica if running.is_own_host else ""
            self._http = HttpClient(address, replica=trusted, is_potassium=self._is_potassium, connect=running.connect)
        readiness = await check_readiness(self._http, self._health)
        self.progress = readiness.reason
        if readiness.is_ready:
            self._health_path, self.concurrency = readiness.path, readiness.concurrency
        elif not readiness.answered:
            forwarded = self._forward(running)
            if forwarded is not None and forwarded != address:
                return await self._answers_at(forwarded, running)
        return readiness.is_ready

    def _forward(self, running: RunningReplica) -> Address | None:
        """Return the forwarder's address; start it when the published port has been mute for `FORWARD_AFTER`."""
        waited = time.monotonic() - self._started_at
        if self._forwarder is None:
            if waited > FORWARD_AFTER:
                self._forwarder = running.forward(waited)
            return None
        self.progress += "".join(f"; {text}" for text in (self._forwarder.listeners, self._forwarder.failure) if text)
        if self._forwarder.failure is not None:
            self.progress += CONTAINER_HINT
        return self._forwarder.address

    async def _close_forwarder(self) -> None:
        if self._forwarder is not None:
            forwarder, self._forwarder = self._forwarder, None
            await forwarder.close()

    def _find_address(self, running: RunningReplica) -> Address | None:
        """Return the address of the expected port; after `OTHER_PORT` seconds, of any port that the app has opened."""
        addresses = running.addresses
        if (address := addresses.get(running.port)) is not None:
            return address
        if not addresses:
            self.progress = f"nothing listens on port {running.port} yet"
            return None
        latest = next(reversed(list(addresses)))
        self.progress = f"the app listens on port {latest}, and not on {running.port}"
        return addresses[latest] if time.monotonic() - self._started_at > OTHER_PORT else None
