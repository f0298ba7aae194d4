"""The platform's ASGI application on one port: host guard, status page, metrics, own API, run URLs, fronts and mounts.

The command line mounts Banana's APIs, the mocks, git and GitHub's webhook by their path prefixes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from bananastand.asgi.bodies import ClientDisconnected
from bananastand.asgi.credentials import basic_credentials, bearer_token
from bananastand.asgi.host_guard import HostGuard
from bananastand.asgi.responses import send_error

from ..errors import PlatformError, StoreError
from ..platform import Platform
from .api import CALL, PREFIX, call_handler, platform_api
from .errors import error_response, json_error
from .forwarded import forwarded_of
from .headers import app_target, raw_path, upgrade_problem
from .page import HEADERS, StatusPage
from .proxy import pass_on
from .run_hosts import host_of, rewrite_banana_host
from .run_url import RUN, refusal, serve_run_url
from .task_api import is_task_path, serve_task_api
from .websocket import refuse_websocket, serve_call_websocket, serve_front_websocket, serve_run_websocket

__all__ = ["PlatformServer", "refuse"]

UPGRADE = 501  # Banana's SDKs do not retry it
METRICS = "text/plain; version=0.0.4; charset=utf-8"
OWN = ("/", "/metrics", "/healthz")  # for GET


class PlatformServer:
    """The application.

    Args:
        platform: The platform.
        mounts: ASGI applications by path prefix.
        fronts: Projects by port; such a port belongs to one project and requires no key.
        hosts: Host names that are allowed beside loopback.
        open_to: Path prefixes with CORS of their own, where any Origin is allowed.
        private: Whether page and metrics require a key too, as where other machines can reach them.
        rest: Serves every other path.
        secure: Ports behind the forward proxy's TLS.
    """

    def __init__(
        self,
        platform: Platform,
        mounts: Mapping[str, Any],
        *,
        fronts: Mapping[int, str] | None = None,
        hosts: Iterable[str] = (),
        open_to: Iterable[str] = (),
        private: bool = False,
        rest: Any = None,
        secure: Iterable[int] = (),
    ) -> None:
        self._platform, self._mounts, self._fronts = platform, dict(mounts), dict(fronts or {})
        self._guard, self._private = HostGuard(hosts, open_to), private
        self._secure = frozenset(secure)
        self._api = platform_api(platform)
        self._page = StatusPage(platform)
        self._rest = rest

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or pass it to the application that does."""
        with contextlib.suppress(ClientDisconnect, ClientDisconnected):  # before the whole body had arrived
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        port, forwarded = (scope.get("server") or ("", 0))[1], forwarded_of(scope)
        project = self._fronts.get(port) if forwarded is None else forwarded.project
        # A front requires no key, and so answers to no other name.
        moved = rewrite_banana_host(scope) if project is None else None
        names = (host_of(scope),) if moved is not None else ()
        if forwarded is None and (refusal := self._guard.refusal(scope, names=names)) is not None:
            await refuse(scope, receive, send, refusal)
            return
        if moved is not None:
            scope = {**moved, "scheme": moved["scheme"] + "s"} if port in self._secure else moved
        if project is not None:
            await self._front(project, scope, receive, send)
            return
        if run := RUN.fullmatch(raw_path(scope)):
            await self._run_url(run[1], run[2] or b"/", scope, receive, send)
            return
        path: str = scope["path"]
        if scope["type"] == "http" and is_task_path(path):
            await (await serve_task_api(self._platform, Request(scope, receive)))(scope, receive, send)
            return
        for mount, app in self._mounts.items():
            if path == mount or path.startswith((f"{mount}/", f"{mount}&")):
                await app({**scope, "root_path": mount}, receive, self._after_flush(send))
                return
        if called := CALL.fullmatch(raw_path(scope)):
            await self._call(called[1], called[2], scope, receive, send)
        elif path.startswith(f"{PREFIX}/"):
            await self._api(scope, receive, self._after_flush(send))
        elif scope["type"] == "http" and path in OWN and scope["method"] in ("GET", "HEAD"):
            response = await self._own(Request(scope, receive), path)
            await response(scope, receive, send)
        elif scope["type"] == "http" and path in OWN and (path != "/" or self._rest is None):
            response = json_error(405, "method_not_allowed", f"{path} is for GET")
            response.headers["allow"] = "GET, HEAD"
            await response(scope, receive, send)
        elif self._rest is not None:
            await self._rest(scope, receive, send)
        elif scope["type"] == "http":
            await json_error(404, "not_found", f"nothing is served at {path[:200]}; see /")(scope, receive, send)
        else:
            await refuse(scope, receive, send, "nothing is served here")

    def _after_flush(self, send: Any) -> Any:
        """Return a `send` whose response begins once what the request has changed is on the disk, or says why not."""
        store, failed = self._platform.store, False

        async def send_durably(message: Any) -> None:
            nonlocal failed
            if message["type"] == "http.response.start" and not store.is_flushed:
                try:
                    await store.flush()
                except StoreError as error:
                    failed = True
                    await send_error(send, error.status, error.code, str(error))
            if not failed:
                await send(message)

        return send_durably

    async def _own(self, request: Request, path: str) -> Response:
        if path == "/healthz":
            return JSONResponse({"alive": True})
        forwarded = forwarded_of(request.scope)
        private = self._private if forwarded is None else forwarded.private
        if private and not self._has_key(request):
            challenge = {"www-authenticate": 'Basic realm="an API key of the platform as password"'}
            text = "an API key is required: as bearer token, or as password\n"
            return Response(text, 401, challenge, "text/plain")
        if path == "/metrics":
            return Response(self._platform.metrics.text(), media_type=METRICS)
        address = f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
        page = request.query_params.get("page", "")
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 10 else 1
        return HTMLResponse(await self._page.html(address, number), headers=HEADERS)

    def _has_key(self, request: Request) -> bool:
        authorization = request.headers.get("authorization", "")
        _, password = basic_credentials(authorization) or ("", "")
        return self._platform.keys.find((bearer_token(authorization) or password).strip()) is not None

    async def _run_url(self, slug: bytes, path: bytes, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await serve_run_websocket(self._platform, slug, path, scope, receive, send)
            return
        if (problem := upgrade_problem(scope["headers"])) is not None:
            response = refusal(UPGRADE, problem)
        else:
            response = await serve_run_url(self._platform, slug, path, Request(scope, receive))
        await response(scope, receive, send)

    async def _call(self, name: bytes, path: bytes, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await serve_call_websocket(self._platform, name, path, scope, receive, send)
            return
        if (problem := upgrade_problem(scope["headers"])) is not None:
            response: Response = json_error(UPGRADE, "upgrade", problem)
        else:
            response = await call_handler(self._platform, name, path, Request(scope, receive))
        await response(scope, receive, send)

    async def _front(self, name: str, scope: Any, receive: Any, send: Any) -> None:
        """Serve one project's app as if it listened on this port itself."""
        project = self._platform.projects.find(name)
        if scope["type"] == "websocket":
            if project is not None:
                await serve_front_websocket(self._platform, project, scope, receive, send)
            else:
                await refuse_websocket(_not_deployed(name), scope, receive, send)
            return
        if (problem := upgrade_problem(scope["headers"])) is not None:
            response: Response = json_error(UPGRADE, "upgrade", problem)
        elif scope["method"] in ("GET", "HEAD") and scope["path"] in ("/healthz", "/readyz"):
            live = project is not None and project.live is not None
            response = JSONResponse({"ready": live}, 200 if live else 503)
        elif project is None:
            response = _not_deployed(name)
        else:
            try:
                target = app_target(raw_path(scope), scope["query_string"])
                response = await pass_on(self._platform, project, target, Request(scope, receive))
            except PlatformError as error:
                response = error_response(error)
        await response(scope, receive, send)


def _not_deployed(name: str) -> Response:
    command = f"bananastand deploy FOLDER --name {name}"
    return json_error(503, "not_deployed", f"{name} is not deployed yet: {command}")


async def _lifespan(receive: Any, send: Any) -> None:
    """Answer ASGI's lifespan events: whoever made the platform starts and closes it."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def refuse(scope: Any, receive: Any, send: Any, reason: str) -> None:
    """Answer a request, or a websocket's handshake, with 403."""
    if scope["type"] == "websocket":
        await refuse_websocket(json_error(403, "forbidden", reason), scope, receive, send)
        return
    await send_error(send, 403, "forbidden", reason)
