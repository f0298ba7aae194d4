"""All providers on one port.

/lowcodeapi/bananadev, /lowcodeapi/falai, /banana, /fal, /fal-queue, /gobananas, /paperbanana   the providers
/w/{world}/lowcodeapi/...                                  the same, in the world of that name
/_stand/                                                   the control plane
/                                                          the index page: what is served, with which keys

Requests by a provider's own host name, as a forward proxy or a hosts file brings them, reach its mock too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bananastand.asgi.refusals import Dialect, Refusal, plain_json
from bananastand.asgi.responses import send_response
from bananastand.contracts.errors import Problem
from bananastand.contracts.json_body import dump
from bananastand.contracts.response import JSON

from .kernel.due_events import running_events
from .kernel.hosts import HostTable
from .kernel.http_handler import HttpHandler
from .kernel.http_request import PINNED
from .kernel.journal import BUDGET
from .kernel.worlds import Kind, Worlds
from .providers import NAMES, build

if TYPE_CHECKING:
    from .bananadev.runtime import RuntimeFactory
    from .kernel.app import ProviderApp
    from .kernel.provider import Provider
    from .kernel.state_file import StateFile
    from .paperbanana.vlm import Vlm

__all__ = ["RESERVED", "Server", "create_app", "dialect_of", "mount_of"]

GATEWAY = "/lowcodeapi"
GATEWAY_TYPE = b"application/json; charset=utf-8"
RESERVED = ("/_stand",)  # answered also where there are too many connections
POLICY_VIOLATION = 1008  # close code of a websocket


class Server:
    """An ASGI application that serves providers, control plane and index page.

    Args:
        names: The providers, of `providers.NAMES`.
        kind: What the default world holds.
        seed: Of the default world's ids and randomness; drawn where it is None.
        virtual: Whether its clock moves only when it is advanced.
        speed: How many times faster than real time its real clock runs.
        step: Seconds by which every call moves its clock.
        auto_advance: Whether this project's clients, and streams, move its virtual clock where they would wait.
        state: The file that stores the worlds; None for none.
        hosts: Names beside localhost by which the control plane may be called.
        runtime: What runs Banana.dev's models; by default they are pretended.
        webhooks: Addresses beside this machine's that may be posted to.
        images: The address of a Potassium app that paints the images of Go Bananas!.
        vlm: The language model that PaperBanana asks.
        openapi: OpenAPI documents to serve too, FILE or FILE,NAME.
        strict: As for `HttpHandler`.

    Attributes:
        worlds: All worlds; who runs the server in process may change them.
        providers: The providers by mount.
        hosts: The providers' own host names.
        secure_ports: Ports whose requests came over TLS to the forward proxy.
    """

    def __init__(
        self,
        names: Sequence[str] = NAMES,
        *,
        kind: Kind = "development",
        seed: int | None = None,
        virtual: bool = False,
        speed: float = 1.0,
        step: float = 0.0,
        auto_advance: bool = False,
        state: Path | None = None,
        hosts: Iterable[str] = (),
        runtime: RuntimeFactory | None = None,
        webhooks: Iterable[str] = (),
        images: str | None = None,
        vlm: Vlm | None = None,
        openapi: Iterable[str | Path] = (),
        strict: bool = False,
    ) -> None:
        providers = [
            *build(names, runtime=runtime, webhooks=webhooks, images=images, vlm=vlm),
            *_documents(openapi),
        ]
        self.worlds = Worlds(providers, kind=kind, seed=seed, virtual=virtual, speed=speed)
        self.worlds.default.clock.step = step
        self.worlds.default.auto_advance = auto_advance
        self.state: StateFile | None = None
        if state is not None:
            from .kernel.state_file import StateFile

            self.state = StateFile(state)
            self.state.restore(self.worlds)
        self.providers = {provider.mount: provider for provider in providers}
        self._handlers, self._strict = dict[str, HttpHandler](), strict
        self._apps: dict[str, ProviderApp] = {}
        self._control_hosts = tuple(hosts)
        self.hosts = HostTable(providers)
        self.secure_ports = set[int]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on to the provider at the beginning of its path, in the world that the path may name."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if (prefix := self.hosts.prefix(scope)) is not None:
            await self._serve_by_host(prefix, scope, receive, send)
            return
        path: str = scope["path"]
        prefix, world = "", None
        if path.startswith("/w/"):
            name, _, rest = path[3:].partition("/")
            world = self.worlds.named(name)
            if world is None:
                await _answer(scope, receive, send, 404, {"detail": f"there is no world {name}"})
                return
            prefix, path = f"/w/{name}", f"/{rest}"
        mount = mount_of(path)
        if (provider := self.providers.get(mount)) is not None:
            serve = self._handler(provider) if _is_call(scope, path[len(mount) :], provider) else self._app(provider)
            await serve({**scope, "root_path": prefix + mount, PINNED: world}, receive, send)
        elif path.startswith(GATEWAY):
            await _answer(scope, receive, send, *_gateway(path))
        elif prefix:
            await _answer(scope, receive, send, 404, {"detail": f"nothing is served at {path}; see /"})
        else:
            await self._control(scope, receive, send)

    async def _serve_by_host(self, prefix: str, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request whose host stands for a path of this server; addresses in its response have that host."""
        path = f"{prefix}{scope['path']}"
        mount = mount_of(path)
        if (app := self.app(mount)) is None:
            await _answer(scope, receive, send, *_gateway(path))
            return
        root = mount[len(prefix) :]  # what of the mount the client sees
        if len(prefix) > len(mount):
            path = path[len(mount) :]
            scope = {**scope, "path": path, "raw_path": prefix[len(mount) :].encode() + scope.get("raw_path", b"")}
        if (scope.get("server") or ("", 0))[1] in self.secure_ports:
            scope = {**scope, "scheme": f"{scope['scheme']}s"}
        await app({**scope, "root_path": root, PINNED: None}, receive, send)

    def app(self, mount: str) -> ProviderApp | None:
        """Return the application at a mount, which is built on first use; None where nothing is mounted."""
        provider = self.providers.get(mount)
        return None if provider is None else self._app(provider)

    def _app(self, provider: Provider) -> ProviderApp:
        if provider.mount not in self._apps:
            from .kernel.app import ProviderApp

            self._apps[provider.mount] = ProviderApp(provider, self.worlds, strict=self._strict)
        return self._apps[provider.mount]

    def _handler(self, provider: Provider) -> HttpHandler:
        """Return what serves a provider's calls, which is built on first use."""
        if (handler := self._handlers.get(provider.mount)) is None:
            handler = self._handlers[provider.mount] = HttpHandler(provider, self.worlds, strict=self._strict)
        return handler

    async def _lifespan(self, receive: Any, send: Any) -> None:
        """Run due events from the server's start to its end."""
        await receive()
        async with running_events(self.worlds):
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @cached_property
    def _control(self) -> Any:
        """Control plane and index page; built on first use, because FastAPI is slow to add many routes."""
        from .kernel.control import control_plane

        return control_plane(list(self.providers.values()), self.worlds, hosts=self._control_hosts)


def create_app(
    name: str,
    *,
    runtime: RuntimeFactory | None = None,
    images: str | None = None,
    keys: Mapping[str, str] | None = None,
    kind: Kind = "development",
    seed: int | None = None,
    virtual: bool = False,
    journal: int = BUDGET,
    strict: bool = False,
) -> ProviderApp:
    """Build one provider as an ASGI application of its own.

    Args:
        name: One of `providers.NAMES`.
        runtime: As for `Server`, like the next.
        images: As for `Server`.
        keys: Secrets that replace the well-known ones, by kind, such as lowcodeapi, banana or fal.
        kind: What its world holds.
        seed: As for `Server`, like the next.
        virtual: As for `Server`.
        journal: Bytes that the journal may hold; 0 for none.
        strict: As for `HttpHandler`.

    Raises:
        ValueError: There is no provider of that name.
    """
    from .kernel.app import ProviderApp

    (provider,) = build([name], runtime=runtime, images=images)
    worlds = Worlds([provider], kind=kind, seed=seed, virtual=virtual, journal=journal, keys=keys)
    return ProviderApp(provider, worlds, strict=strict)


def _documents(openapi: Iterable[str | Path]) -> Iterator[Provider]:
    """Build a provider for each document. Raises ValueError where one is wrong, or its name is taken."""
    taken = {*NAMES, "banana", "fal"}
    for text in openapi:
        from .openapi import DocumentError, OpenApiProvider

        provider = OpenApiProvider.from_option(text)
        if provider.name in taken:
            raise DocumentError(f"{text}: the name {provider.name} is taken: add another, such as {text},shop")
        taken.add(provider.name)
        yield provider


def dialect_of(server: Server) -> Dialect:
    """Return how the server words what it refuses before a provider sees the request: as the path's provider does."""

    def render(refusal: Refusal) -> tuple[str, bytes]:
        path = refusal.path
        if (prefix := server.hosts.prefix_of(refusal.host)) is not None:
            path = f"{prefix}{path}"
        elif path.startswith("/w/"):
            path = f"/{path[3:].partition('/')[2]}"
        provider = server.providers.get(mount_of(path))
        if provider is None:
            return plain_json(refusal)
        response = provider.failure(None, Problem("fault", refusal.message, status=refusal.status))
        body = response.body if isinstance(response.body, bytes) else dump(response.body)
        return provider.json_type if response.content_type == JSON else response.content_type, body

    return render


def mount_of(path: str) -> str:
    """Return the first part of a path, for a gateway's the first two; it is the mount of the path's provider."""
    parts = path.split("/", 3)
    if len(parts) < 2:  # the target of OPTIONS * is no path
        return ""
    if len(parts) > 2 and f"/{parts[1]}" == GATEWAY:
        return f"{GATEWAY}/{parts[2]}"
    return f"/{parts[1]}"


def _is_call(scope: Any, path: str, provider: Provider) -> bool:
    """Return whether a request is for an operation, and for neither a page nor a websocket."""
    first = path[1:].partition("/")[0]
    return scope["type"] == "http" and first not in provider.pages and first != "docs"


def _gateway(path: str) -> tuple[int, dict[str, Any]]:
    """Return status and body of LowCodeAPI's own addresses, as its published source has them."""
    rest = path.removeprefix(GATEWAY).strip("/")
    if rest == "":
        return 200, {"res": {"message": "LowCodeAPI"}}
    if rest == "health-check":
        return 200, {"status": "ok"}
    if rest.endswith("/definition"):
        return 422, {"message": "Invalid request for OpenAPI specs"}
    if rest.endswith("/metadata"):
        return 422, {"message": "Invalid OpenAPI definition request."}
    return 404, {"message": "Not Found"}


async def _answer(scope: Any, receive: Any, send: Any, status: int, body: dict[str, Any]) -> None:
    """Answer a path that belongs to no provider; a websocket is refused."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    await send_response(send, status, json.dumps(body, separators=(",", ":")).encode(), GATEWAY_TYPE)
