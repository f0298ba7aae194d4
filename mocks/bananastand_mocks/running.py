"""A server of the mocks in a thread of this process, for tests, unittest and notebooks. Knows no operation."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import uvicorn

from bananastand.asgi.connection_limiter import ConnectionLimiter
from bananastand.asgi.limits import ConnectionLimits
from bananastand.asgi.protocol import ServerConfig

from .kernel.clock import Clock
from .kernel.coverage import Coverage
from .kernel.faults import Faults
from .kernel.journal import Journal
from .kernel.limits import Limits
from .kernel.provider import Provider
from .kernel.tasks import Tasks
from .kernel.world import World
from .kernel.worlds import Kind
from .providers import NAMES
from .server import RESERVED, Server, dialect_of

if TYPE_CHECKING:
    from .bananadev.runtime import Runtime
    from .paperbanana.vlm import Vlm

__all__ = ["Endpoint", "RunningServer", "MockSession", "start"]

KEYS = {
    "bananadev": "lowcodeapi",
    "falai": "lowcodeapi",
    "banana-native": "banana",
    "fal-native": "fal",
    "gobananas": "gobananas",
    "paperbanana": "paperbanana",
}
ADMIN_KEYS = {"paperbanana": "paperbanana-admin"}
PATIENCE = 30.0  # seconds for a start


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a provider answers, a key that it takes, and its admin's key where there is one."""

    base_url: str
    key: str
    admin_key: str = ""


class MockSession:
    """One world of a running server, in the hands of a test."""

    def __init__(self, server: RunningServer, world: World) -> None:
        self._server, self.world = server, world

    @property
    def clock(self) -> Clock:
        """The world's clock: `stand.clock.advance(60)`."""
        return self.world.clock

    @property
    def tasks(self) -> Tasks:
        """How long work takes: `stand.tasks.finish_after_polls(2)`."""
        return self.world.tasks

    @property
    def faults(self) -> Faults:
        """What goes wrong: `stand.faults.next_calls(2, "status", "list_models", status=503)`."""
        return self.world.faults

    @property
    def journal(self) -> Journal:
        """What was called: `stand.journal.verify(operation="start_run", body={"modelKey": "value"})`."""
        return self.world.journal

    @property
    def limits(self) -> Limits:
        """Rate limits: `stand.limits.set("bananadev", calls=10, seconds=60)`."""
        return self.world.limits

    @property
    def coverage(self) -> Coverage:
        """Which operations were exercised."""
        return self.world.coverage

    def endpoint(self, provider: str) -> Endpoint:
        """Where a provider answers in this world alone, and this world's key."""
        mount = self._server.provider(provider).mount
        return _endpoint(f"{self._server.url}/w/{self.world.name}{mount}", provider, self.world)

    def reset(self, **options: Any) -> None:
        """Begin anew; `kind` and `seed` as for a new world."""
        self._server.asgi.worlds.reset(self.world, **options)


class RunningServer:
    """A started server; stop it, or use it in a `with`."""

    def __init__(self, asgi: Server, port: int = 0, limits: ConnectionLimits | None = None) -> None:
        self.asgi = asgi
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        limiter = ConnectionLimiter(limits or ConnectionLimits(), name="mocks")
        config = ServerConfig(asgi, limiter=limiter, dialect=dialect_of(asgi.providers), reserved=RESERVED)
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="bananastand-mocks", daemon=True)
        self._thread.start()
        self._wait()

    @property
    def url(self) -> str:
        """The address of the index page, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def default(self) -> MockSession:
        """The world of the well-known keys."""
        return MockSession(self, self.asgi.worlds.default)

    def stand(self, *, kind: Kind = "development", seed: int | None = 0, virtual: bool = True) -> MockSession:
        """A new world of its own. `seed` 0 makes tests repeat themselves; None draws one."""
        return MockSession(self, self.asgi.worlds.create(kind=kind, seed=seed, virtual=virtual))

    def endpoint(self, provider: str) -> Endpoint:
        """Where a provider answers in the world of the well-known keys."""
        return _endpoint(f"{self.url}{self.provider(provider).mount}", provider, self.asgi.worlds.default)

    def provider(self, name: str) -> Provider:
        """The provider of that name. Raises KeyError where it is not served."""
        return {each.name: each for each in self.asgi.providers.values()}[name]

    def stop(self) -> None:
        """End it; answers under way have a second."""
        self._uvicorn.should_exit = True
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        self._uvicorn.run(sockets=[self._socket])

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE
        while not self._uvicorn.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                raise RuntimeError("the mock server did not start")
            time.sleep(0.005)


def start(
    *names: str,
    port: int = 0,
    kind: Kind = "development",
    seed: int | None = 0,
    virtual: bool = True,
    runtime: Runtime | None = None,
    images: str | None = None,
    vlm: Vlm | None = None,
) -> RunningServer:
    """Start the mocks in this process, all of them or those named, on a free port.

    >>> with bananastand_mocks.start() as server:
    ...     server.endpoint("bananadev").base_url
    """
    chosen: Sequence[str] = names or NAMES
    options: dict[str, Any] = {"kind": kind, "seed": seed, "virtual": virtual}
    return RunningServer(Server(chosen, runtime=runtime, images=images, vlm=vlm, **options), port)


def _endpoint(url: str, provider: str, world: World) -> Endpoint:
    admin = world.credentials[ADMIN_KEYS[provider]][0] if provider in ADMIN_KEYS else ""
    return Endpoint(url, world.credentials[KEYS[provider]][0], admin)
