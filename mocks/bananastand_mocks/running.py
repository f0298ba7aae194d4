"""Runs a server of the mocks in a thread of this process, for tests and notebooks."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from bananastand.asgi.limits import ConnectionLimits

from .cassettes.cassette import Interaction
from .cassettes.exchanges import build_exchanges
from .cassettes.player import Player
from .cassettes.requests import PARTS
from .kernel.clock import Clock
from .kernel.coverage import Coverage
from .kernel.faults import Faults
from .kernel.journal import Journal
from .kernel.limits import RateLimits
from .kernel.provider import Provider
from .kernel.stubs import Stubs
from .kernel.tasks import Tasks
from .kernel.world import World
from .kernel.worlds import Kind
from .listeners import LOOPBACK, MockServer
from .providers import NAMES
from .server import Server

if TYPE_CHECKING:
    from .bananadev.runtime import RuntimeFactory
    from .kernel.stub import Stub
    from .paperbanana.vlm import Vlm

__all__ = ["Endpoint", "RunningServer", "MockSession", "start"]

Pattern = Mapping[str, Any]

ANY_KEY = "any-key"  # for an OpenAPI document's API, which takes every one
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
    def stubs(self) -> Stubs:
        """The stubs that are set: `stand.stubs.unused()`, `stand.stubs.assert_all_called()`, `stand.stubs.clear()`."""
        return self.world.stubs

    @property
    def coverage(self) -> Coverage:
        """Which operations were exercised."""
        return self.world.coverage

    def endpoint(self, provider: str) -> Endpoint:
        """Return where a provider answers in this world, with this world's key. Raises KeyError for an unserved one."""
        served = self._server.provider(provider)
        return _endpoint(f"{self._server.url}/w/{self.world.name}{served.mount}", served, self.world)

    def replay(self, cassette: str | Path, *, match: Collection[str] = PARTS) -> None:
        """Answer from a cassette in this world, for the providers that it has calls of.

        Args:
            cassette: The file that was recorded.
            match: What of a request must be equal to a recorded one, of method, path, query and body.

        Raises:
            CassetteError: The file is no cassette, or one of a provider that is not served.
        """
        path, providers = Path(cassette), self._server.asgi.providers
        exchanges = build_exchanges(providers, cassette=path, replay=[path], parts=match)
        self.world.exchanges = {**self.world.exchanges, **exchanges}

    @property
    def unplayed(self) -> list[Interaction]:
        """What of the replayed cassettes no call has received yet."""
        players = [exchange for exchange in self.world.exchanges.values() if isinstance(exchange, Player)]
        return [interaction for player in players for interaction in player.unplayed(self.world)]

    def record(self, cassette: str | Path, *services: str) -> None:
        """Pass this world's calls on to real services, and write their answers into a new cassette without secrets.

        Args:
            cassette: The file, which must not exist.
            services: What to record, as for `bananastand mocks --record`: NAME=URL, NAME or URL.

        Raises:
            ValueError: A service is unknown, or the file exists.
        """
        exchanges = build_exchanges(self._server.asgi.providers, cassette=Path(cassette), record=services)
        self.world.exchanges = {**self.world.exchanges, **exchanges}

    def stub(
        self,
        operation: str | None = None,
        *,
        provider: str | None = None,
        method: str | None = None,
        path: str | Pattern | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        body: Any = None,
        body_text: str | Pattern | None = None,
        body_paths: Mapping[str, Any] | None = None,
        times: int | None = None,
    ) -> Stub:
        """Answer requests that fit with `stub.respond(...)` instead of the provider; see `RequestPattern`.

        A value is a literal or a pattern, such as `{"contains": "banana"}`, `{"matches": "v[12]"}`, `{"absent": True}`.
        Of the stubs that fit, the newest that is not over answers.

        Args:
            operation: The operationId.
            provider: The provider's name.
            method: The HTTP method.
            path: The path below the provider's mount; `{name}` stands for one part.
            query: Query parameters by name.
            headers: Headers by name.
            body: JSON of which the body must hold everything.
            body_text: The body as text.
            body_paths: Values in the body by JSON path.
            times: How many requests it answers; None for no end.

        Raises:
            ValueError: A value is no pattern, or nothing that is served has the operation or the provider's name.

        >>> stand.stub("list_models", times=2).respond(503, headers={"Retry-After": "3"})
        """
        from .kernel.stub import StubSpec
        from .kernel.stub_checks import check_names

        expected = {
            "provider": provider,
            "operation": operation,
            "method": method,
            "path": path,
            "query": query,
            "headers": headers,
            "body": body,
            "body_text": body_text,
            "body_paths": body_paths,
        }
        request = {name: value for name, value in expected.items() if value is not None}
        spec = StubSpec.model_validate({"request": request, "times": times})
        check_names(spec.request, self._server.asgi.providers.values())
        return self.world.stubs.add(spec)

    def reset(self, **options: Any) -> None:
        """Start the world anew; `kind` and `seed` as for a new world."""
        self._server.asgi.worlds.reset(self.world, **options)


class RunningServer:
    """A server that listens on 127.0.0.1 and is started when it is made; stop it, or use it in a `with`.

    Args:
        asgi: What it serves.
        port: Where it listens; 0 for a free port.
        limits: The limits of its connections.
        tls: Whether it speaks HTTPS, by an authority of its own.
        proxy: Whether a forward proxy leads the services' own host names to it.
        tunnel: Whether the proxy passes requests for other hosts on.

    Raises:
        RuntimeError: It did not start.
    """

    def __init__(
        self,
        asgi: Server,
        port: int = 0,
        limits: ConnectionLimits | None = None,
        *,
        tls: bool = False,
        proxy: bool = False,
        tunnel: bool = False,
    ) -> None:
        self.asgi = asgi
        self._folder = tempfile.TemporaryDirectory(prefix="bananastand-mocks-") if tls or proxy else None
        folder = Path(self._folder.name) if self._folder is not None else None
        self._uvicorn = MockServer(
            asgi, port=port, tls=tls, proxy=0 if proxy else None, tunnel=tunnel, folder=folder, limits=limits
        )
        self.port = self._uvicorn.port
        self._thread = threading.Thread(target=self._uvicorn.run, name="bananastand-mocks", daemon=True)
        self._thread.start()
        self._wait()

    @property
    def url(self) -> str:
        """The address of the index page, without a final slash."""
        return f"{self._uvicorn.scheme}://{LOOPBACK}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make a program trust its authority and use its proxy; empty without TLS and proxy."""
        authority, proxy = self._uvicorn.authority, self._uvicorn.proxy_url
        if authority is None or self._folder is None:
            return {}
        from bananastand.forward_proxy.node_hook import node_options
        from bananastand.forward_proxy.variables import proxy_variables, trust_variables

        if (hook := self._uvicorn.node_hook(Path(self._folder.name))) is None or proxy is None:
            return trust_variables(authority)
        return {**proxy_variables(proxy, authority), "NODE_OPTIONS": node_options(hook)}

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
        served = self.provider(provider)
        return _endpoint(f"{self.url}{served.mount}", served, self.asgi.worlds.default)

    def provider(self, name: str) -> Provider:
        """Return the provider of that name. Raises KeyError where it is not served."""
        return {provider.name: provider for provider in self.asgi.providers.values()}[name]

    def stop(self) -> None:
        """Stop the server; running responses have a second to end."""
        self._uvicorn.should_exit = True
        self._thread.join()
        self._uvicorn.close()
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

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
    openapi: Iterable[str | Path] = (),
    tls: bool = False,
    proxy: bool = False,
    tunnel: bool = False,
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
        openapi: OpenAPI documents to serve too, FILE or FILE,NAME.
        tls: As for `RunningServer`, like the next two.
        proxy: As for `RunningServer`.
        tunnel: As for `RunningServer`.
        auto_advance: As for `RunningServer.stand`, for the default world.

    Raises:
        ValueError: There is no provider of one of the names.

    >>> with bananastand_mocks.start() as server:
    ...     server.endpoint("bananadev").base_url
    """
    chosen: Sequence[str] = names or NAMES
    options: dict[str, Any] = {"kind": kind, "seed": seed, "virtual": virtual, "auto_advance": auto_advance}
    server = Server(chosen, runtime=runtime, images=images, vlm=vlm, openapi=openapi, **options)
    return RunningServer(server, port, tls=tls, proxy=proxy, tunnel=tunnel)


def _endpoint(url: str, provider: Provider, world: World) -> Endpoint:
    """The address with the first key of the first kind, and the key of an admin where there is such a kind."""
    if not provider.credentials:
        return Endpoint(url, ANY_KEY, "")
    key, *others = (credential.kind for credential in provider.credentials)
    admin = next((kind for kind in others if kind.endswith("-admin")), None)
    return Endpoint(url, world.credentials[key][0], world.credentials[admin][0] if admin else "")
