"""All providers on one port: their mounts, the index page, the control plane. Knows no operation.

/lowcodeapi/bananadev, /lowcodeapi/falai, /banana, /fal, /gobananas, /paperbanana    the providers
/w/{world}/lowcodeapi/...                                  the same, in the world of that name
/_stand/                                                   the control plane
/                                                          what is served, with which keys
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bananastand.asgi.refusals import Dialect, Refusal, plain_json
from bananastand.contracts.errors import Problem
from bananastand.contracts.json_body import dump
from bananastand.contracts.response import JSON

from .kernel.app import PINNED, ProviderApp, turning
from .kernel.journal import BUDGET
from .kernel.state_file import StateFile
from .kernel.world import World
from .kernel.worlds import Kind, Worlds
from .providers import NAMES, build

if TYPE_CHECKING:
    from .bananadev.runtime import Runtime
    from .kernel.provider import Provider
    from .paperbanana.vlm import Vlm

__all__ = ["RESERVED", "Server", "create_app", "create_apps", "dialect_of", "mount_of"]

GATEWAY = "/lowcodeapi"
RESERVED = ("/_stand",)  # answered also where there are too many connections


class Server:
    """An ASGI application. `worlds` is open to whoever runs it in process."""

    def __init__(
        self,
        names: Sequence[str] = NAMES,
        *,
        kind: Kind = "development",
        seed: int | None = None,
        virtual: bool = False,
        speed: float = 1.0,
        state: Path | None = None,
        hosts: Iterable[str] = (),
        runtime: Runtime | None = None,
        webhooks: Iterable[str] = (),
        images: str | None = None,
        vlm: Vlm | None = None,
        strict: bool = False,
    ) -> None:
        providers = build(names, runtime=runtime, webhooks=webhooks, images=images, vlm=vlm)
        self.worlds = Worlds(providers, kind=kind, seed=seed, virtual=virtual, speed=speed)
        self.state = StateFile(state) if state is not None else None
        if self.state is not None:
            self.state.restore(self.worlds)
        self.providers = {each.mount: each for each in providers}
        self._apps, self._strict = dict[str, ProviderApp](), strict
        self._hosts = tuple(hosts)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Find the provider by the beginning of the path, and the world too where the path names one."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        path: str = scope["path"]
        prefix, world = "", None
        if path.startswith("/w/"):
            name, _, rest = path[3:].partition("/")
            world = self.worlds.named(name)
            if world is None:
                await _say(scope, receive, send, 404, {"detail": f"there is no world {name}"})
                return
            prefix, path = f"/w/{name}", f"/{rest}"
        mount = mount_of(path)
        if (app := self.app(mount)) is not None:
            inner = {**scope, "root_path": prefix + mount, PINNED: world}
            await app(inner, receive, send)
        elif path.startswith(GATEWAY):
            status, body = _gateway(path)
            await _say(scope, receive, send, status, body)
        elif prefix:
            await _say(scope, receive, send, 404, {"detail": f"nothing is served at {path}; see /"})
        else:
            await self._control(scope, receive, send)

    def app(self, mount: str) -> ProviderApp | None:
        """What answers there, made when first asked for."""
        if mount not in self._apps and mount in self.providers:
            self._apps[mount] = ProviderApp(self.providers[mount], self.worlds, strict=self._strict)
        return self._apps.get(mount)

    async def _live(self, receive: Any, send: Any) -> None:
        """Keep the clocks turning from start to end."""
        await receive()
        async with turning(self.worlds):
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @cached_property
    def _control(self) -> Any:
        """Control plane and index page; made when first asked for, because FastAPI takes its time over many routes."""
        from .kernel.control import control_plane

        app = control_plane(self.worlds, hosts=self._hosts)
        app.get("/", include_in_schema=False)(self._index)
        return app

    async def _index(self) -> Any:
        from fastapi.responses import HTMLResponse

        return HTMLResponse(_page(self.providers.values(), self.worlds.default))


def create_app(
    name: str,
    *,
    runtime: Runtime | None = None,
    images: str | None = None,
    keys: Mapping[str, str] | None = None,
    kind: Kind = "development",
    seed: int | None = None,
    virtual: bool = False,
    journal: int = BUDGET,
    strict: bool = False,
) -> ProviderApp:
    """One provider as an ASGI application of its own: one of `providers.NAMES`.

    `keys` replace the well-known credentials, by kind, such as lowcodeapi, banana or fal. `journal` is its budget in
    bytes, 0 for none. Raises ValueError for an unknown name.
    """
    (provider,) = build([name], runtime=runtime, images=images)
    worlds = Worlds([provider], kind=kind, seed=seed, virtual=virtual, journal=journal, keys=keys)
    return ProviderApp(provider, worlds, strict=strict)


def create_apps(
    names: Sequence[str],
    *,
    runtime: Runtime | None = None,
    lookup: Callable[[str, str], bool] | None = None,
    body_memory: int = 256 * 2**20,
) -> tuple[Worlds, dict[str, ProviderApp]]:
    """Providers that share one world in real time, by mount, for a server that keeps its own keys and no journal.

    `lookup` says whether a secret of a kind (lowcodeapi, banana) is valid. `body_memory` is for the bodies of all
    requests that are not answered, in bytes. Raises ValueError for an unknown name.
    """
    providers = build(names, runtime=runtime)
    worlds = Worlds(providers, kind="empty", journal=0, lookup=lookup, body_memory=body_memory)
    return worlds, {each.mount: ProviderApp(each, worlds) for each in providers}


def dialect_of(providers: Mapping[str, Provider]) -> Dialect:
    """How the server words what it refuses before a provider has the request: as the provider of the path does."""

    def worded(refusal: Refusal) -> tuple[str, bytes]:
        path = refusal.path
        if path.startswith("/w/"):
            path = f"/{path[3:].partition('/')[2]}"
        provider = providers.get(mount_of(path))
        if provider is None:
            return plain_json(refusal)
        answer = provider.failure(None, Problem("fault", refusal.message, status=refusal.status))
        body = answer.body if isinstance(answer.body, bytes) else dump(answer.body)
        return provider.json_type if answer.content_type == JSON else answer.content_type, body

    return worded


def mount_of(path: str) -> str:
    """The first part of a path; the first two of a gateway's, where a stray & may follow without a slash."""
    parts = path.split("/", 3)
    if len(parts) < 2:  # the target of OPTIONS * is no path
        return ""
    if len(parts) > 2 and f"/{parts[1]}" == GATEWAY:
        return f"{GATEWAY}/{parts[2]}"
    return f"/{parts[1]}"


def _gateway(path: str) -> tuple[int, dict[str, Any]]:
    """LowCodeAPI's own addresses, as its published source has them."""
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


async def _say(scope: Any, receive: Any, send: Any, status: int, body: dict[str, Any]) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    raw = json.dumps(body, separators=(",", ":")).encode()
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", str(len(raw)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": raw})


def _page(providers: Iterable[Provider], world: World) -> str:
    rows = "".join(
        f"<tr><td><a href=/_stand/contracts/{each.name}>{html.escape(each.title)}</a>"
        f" (<a href={each.mount}/openapi.json>OpenAPI</a>)"
        f"<td><code>{each.mount}</code><td>{html.escape(each.summary)}"
        + "".join(f" <a href={each.mount}/{page}>/{page}</a>" for page in each.pages)
        + f"<td>{len(each.contract.by_id)}"
        for each in providers
    )
    keys = "".join(
        f"<tr><td>{html.escape(kind)}<td><code>{html.escape(secrets[0])}</code>"
        for kind, secrets in world.credentials.items()
        if secrets
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Bananastand mocks</title><h1>Bananastand mocks</h1>"
        f"<table><tr><th>API<th>at<th>what<th>operations{rows}</table>"
        f"<h2>Keys</h2><table>{keys}</table>"
        "<p>Each API's name leads to its reference. Tests use the <a href=/_stand/>control plane</a>.</p>"
    )
