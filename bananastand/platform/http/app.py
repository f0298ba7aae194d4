"""The stand on one port: guard, status page, metrics, its own API, fronts, and what is mounted. Knows no provider.

ASGI. What is mounted (Banana's APIs, the mocks, git) is handed in by the command line, by the beginning of its path.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from bananastand.asgi.bodies import ClientDisconnected
from bananastand.asgi.host_guard import HostGuard

from ..errors import PlatformError
from ..platform import Platform
from .api import CALL, PREFIX, call_handler, stand_api
from .headers import app_target, raw_path, upgrade_problem
from .page import HEADERS, StatusPage
from .proxy import error_response, pass_on
from .run_hosts import host_of, moved_to_its_path
from .run_url import RUN, refusal, serve_run_url
from .task_api import is_task_path, serve_task_api
from .websocket import refuse_websocket, serve_call_websocket, serve_front_websocket, serve_run_websocket

__all__ = ["StandServer"]

UPGRADE = 501  # SDKs of Banana's do not try it again
METRICS = "text/plain; version=0.0.4; charset=utf-8"
OWN = ("/", "/metrics", "/healthz")  # for GET


class StandServer:
    """The application. `fronts` are ports that belong to one project each, where no key is wanted.

    `open_to` are paths where any Origin may come, because what is mounted there has CORS of its own. With `private`
    the page and the metrics want a key too, as they do wherever others than this machine can reach them.
    """

    def __init__(
        self, stand: Platform, mounts: Mapping[str, Any], *, fronts: Mapping[int, str] | None = None,
        hosts: Iterable[str] = (), open_to: Iterable[str] = (), private: bool = False,
        rest: Any = None, secure: Iterable[int] = (),
    ) -> None:  # fmt: skip
        self._stand, self._mounts, self._fronts = stand, dict(mounts), dict(fronts or {})
        self._guard, self._private = HostGuard(hosts, open_to), private
        self._secure = frozenset(secure)  # ports behind the forward proxy's TLS
        self._api = stand_api(stand)
        self._page = StatusPage(stand)
        self._rest = rest  # what else is served, on any path that is nobody's

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, or hand on."""
        with contextlib.suppress(ClientDisconnect, ClientDisconnected):  # it left before its request was whole
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        port = (scope.get("server") or ("", 0))[1]
        project = self._fronts.get(port)
        moved = moved_to_its_path(scope) if project is None else None  # a front wants no key, and so no other name
        if (refusal := self._guard.refusal(scope, names=(host_of(scope),) if moved is not None else ())) is not None:
            await _refuse(scope, receive, send, refusal)
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
            await (await serve_task_api(self._stand, Request(scope, receive)))(scope, receive, send)
            return
        for mount, app in self._mounts.items():
            if path == mount or path.startswith((f"{mount}/", f"{mount}&")):
                await app({**scope, "root_path": mount}, receive, send)
                return
        if called := CALL.fullmatch(raw_path(scope)):
            await self._call(called[1], called[2], scope, receive, send)
        elif path.startswith(f"{PREFIX}/"):
            await self._api(scope, receive, send)
        elif scope["type"] == "http" and path in OWN and scope["method"] in ("GET", "HEAD"):
            response = await self._own(Request(scope, receive), path)
            await response(scope, receive, send)
        elif scope["type"] == "http" and path in OWN and (path != "/" or self._rest is None):
            response = _json(405, "method_not_allowed", f"{path} is for GET")
            response.headers["allow"] = "GET, HEAD"
            await response(scope, receive, send)
        elif self._rest is not None:
            await self._rest(scope, receive, send)
        elif scope["type"] == "http":
            await _json(404, "not_found", f"nothing is served at {path[:200]}; see /")(scope, receive, send)
        else:
            await _refuse(scope, receive, send, "nothing is served here")

    async def _own(self, request: Request, path: str) -> Response:
        if path == "/healthz":
            return JSONResponse({"alive": True})
        if self._private and not self._known(request):
            wanted = {"www-authenticate": 'Basic realm="a key of the stand as password"'}
            return Response("a key is wanted: as bearer token, or as password\n", 401, wanted, "text/plain")
        if path == "/metrics":
            return Response(self._stand.metrics.text(), media_type=METRICS)
        address = f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
        return HTMLResponse(await self._page.html(address), headers=HEADERS)

    def _known(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            token = _password(token)
        return self._stand.keys.find(token.strip()) is not None

    async def _run_url(self, slug: bytes, path: bytes, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await serve_run_websocket(self._stand, slug, path, scope, receive, send)
            return
        if (problem := upgrade_problem(scope["headers"])) is not None:
            response = refusal(UPGRADE, problem)
        else:
            response = await serve_run_url(self._stand, slug, path, Request(scope, receive))
        await response(scope, receive, send)

    async def _call(self, name: bytes, path: bytes, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await serve_call_websocket(self._stand, name, path, scope, receive, send)
            return
        if (problem := upgrade_problem(scope["headers"])) is not None:
            response: Response = _json(UPGRADE, "upgrade", problem)
        else:
            response = await call_handler(self._stand, name, path, Request(scope, receive))
        await response(scope, receive, send)

    async def _front(self, name: str, scope: Any, receive: Any, send: Any) -> None:
        """One project's app, as if it listened here itself."""
        project = self._stand.projects.find(name)
        if scope["type"] == "websocket":
            if project is not None:
                await serve_front_websocket(self._stand, project, scope, receive, send)
            else:
                await refuse_websocket(_not_deployed(name), scope, receive, send)
            return
        if (problem := upgrade_problem(scope["headers"])) is not None:
            response: Response = _json(UPGRADE, "upgrade", problem)
        elif scope["method"] in ("GET", "HEAD") and scope["path"] in ("/healthz", "/readyz"):
            live = project is not None and project.live is not None
            response = JSONResponse({"ready": live}, 200 if live else 503)
        elif project is None:
            response = _not_deployed(name)
        else:
            try:
                target = app_target(raw_path(scope), scope["query_string"])
                response = await pass_on(self._stand, project, target, Request(scope, receive))
            except PlatformError as error:
                response = error_response(error)
        await response(scope, receive, send)


def _password(basic: str) -> str:
    import base64
    import binascii

    try:
        return base64.b64decode(basic, validate=True).decode("utf-8", "replace").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _not_deployed(name: str) -> Response:
    command = f"bananastand deploy FOLDER --name {name}"
    return _json(503, "not_deployed", f"{name} is not deployed yet: {command}")


def _json(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status)


async def _live(receive: Any, send: Any) -> None:
    """Starting and closing is whoever's who made the stand."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _refuse(scope: Any, receive: Any, send: Any, why: str) -> None:
    if scope["type"] == "websocket":
        await refuse_websocket(_json(403, "forbidden", why), scope, receive, send)
        return
    raw = json.dumps({"error": {"code": "forbidden", "message": why}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(raw)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": raw})
