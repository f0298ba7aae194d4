"""Runs a server of the mocks in a thread of this process, for tests and notebooks."""

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
from .kernel.limits import RateLimits
from .kernel.provider import Provider
from .kernel.tasks import Tasks
from .kernel.world import World
from .kernel.worlds import Kind
from .providers import NAMES
from .server import RESERVED, Server, dialect_of

if TYPE_CHECKING:
    from .bananadev.runtime import RuntimeFactory
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
START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a provider answers.

    Attributes:
        base_url: The address.
        key: A valid key.
        admin_key: A valid key of its admin; empty for a provider without one.
    """

    base_url: str
    key: str
    admin_key: str = ""


class MockSession:
    """One world of a running server, as a test uses it."""

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
    def limits(self) -> RateLimits:
        """Rate limits: `stand.limits.set("bananadev", calls=10, seconds=60)`."""
        return self.world.limits

    @property
    def coverage(self) -> Coverage:
        """Which operations were exercised."""
        return self.world.coverage

    def endpoint(self, provider: str) -> Endpoint:
        """Return where a provider answers in this world, with this world's key. Raises KeyError for an unserved one."""
        mount = self._server.provider(provider).mount
        return _endpoint(f"{self._server.url}/w/{self.world.name}{mount}", provider, self.world)

    def reset(self, **options: Any) -> None:
        """Start the world anew; `kind` and `seed` as for a new world."""
        self._server.asgi.worlds.reset(self.world, **options)


class RunningServer:
    """A server that listens on 127.0.0.1 and is started when it is made; stop it, or use it in a `with`.

    Args:
        asgi: What it serves.
        port: Where it listens; 0 for a free port.
        limits: The limits of its connections.

    Raises:
        RuntimeError: It did not start.
    """

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
        """The address of the index page, without a final slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def default(self) -> MockSession:
        """The world of the well-known keys."""
        return MockSession(self, self.asgi.worlds.default)

    def stand(
        self, *, kind: Kind = "development", seed: int | None = 0, virtual: bool = True, auto_advance: bool = False
    ) -> MockSession:
        """Make a new world.

        Args:
            kind: What the world holds.
            seed: Of its ids and randomness. With the same seed a test repeats itself; None draws one.
            virtual: Whether its clock moves only when it is advanced.
            auto_advance: Whether the clients of this project advance a virtual clock where they would sleep.
        """
        world = self.asgi.worlds.create(kind=kind, seed=seed, virtual=virtual)
        world.auto_advance = auto_advance
        return MockSession(self, world)

    def endpoint(self, provider: str) -> Endpoint:
        """Return where a provider answers in the world of the well-known keys. Raises KeyError for an unserved one."""
        return _endpoint(f"{self.url}{self.provider(provider).mount}", provider, self.asgi.worlds.default)

    def provider(self, name: str) -> Provider:
        """Return the provider of that name. Raises KeyError where it is not served."""
        return {provider.name: provider for provider in self.asgi.providers.values()}[name]

    def stop(self) -> None:
        """Stop the server; running responses have a second to end."""
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
        until = time.monotonic() + START_SECONDS
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
    runtime: RuntimeFactory | None = None,
    images: str | None = None,
    vlm: Vlm | None = None,
    auto_advance: bool = False,
) -> RunningServer:
    """Start the mocks in this process.

    Args:
        names: The providers, of `providers.NAMES`; all without any.
        port: Where they listen; 0 for a free port.
        kind: What the default world holds.
        seed: Of the default world's ids and randomness; None draws one.
        virtual: Whether its clock moves only when it is advanced.
        runtime: What runs Banana.dev's models; by default they are pretended.
        images: The address of a Potassium app that paints the images of Go Bananas!.
        vlm: The language model that PaperBanana asks.
        auto_advance: As for `RunningServer.stand`, for the default world.

    Raises:
        ValueError: There is no provider of one of the names.

    >>> with bananastand_mocks.start() as server:
    ...     server.endpoint("bananadev").base_url
    """
    chosen: Sequence[str] = names or NAMES
    options: dict[str, Any] = {"kind": kind, "seed": seed, "virtual": virtual}
    server = Server(chosen, runtime=runtime, images=images, vlm=vlm, **options)
    server.worlds.default.auto_advance = auto_advance
    return RunningServer(server, port)


def _endpoint(url: str, provider: str, world: World) -> Endpoint:
    admin = world.credentials[ADMIN_KEYS[provider]][0] if provider in ADMIN_KEYS else ""
    return Endpoint(url, world.credentials[KEYS[provider]][0], admin)
