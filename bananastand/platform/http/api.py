"""The stand's own HTTP API, which the command line speaks: /stand/v1. Errors are {"error": {"code", "message"}}.

Every route wants a key, as a bearer token or in X-Banana-API-Key.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import re
import time
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fastapi import Depends, FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ..building.example_input import example_input
from ..errors import PlatformError, Refused, StoreFull, Unauthorized
from ..platform import Platform
from ..store.bodies import TooLarge
from ..store.logs import Log
from ..store.projects import Project
from ..store.storable import check_text
from . import serializers as shown
from .disk import add_disk_routes
from .headers import app_target
from .proxy import error_response, pass_on, read_body

__all__ = ["CALL", "PREFIX", "authorise", "call_handler", "stand_api"]

PREFIX = "/stand/v1"
CALL = re.compile(rf"{PREFIX}/projects/([^/]+)/call(/.*)".encode(), re.DOTALL)  # of a path as it was sent
ORDER = "x-stand-order"  # of an archive: environment, secrets and builder as JSON in base64
BATCH = 10  # projects that are looked at before calls have their turn
MOST = 2**20  # bytes of a JSON body
NDJSON = "application/x-ndjson"
CODES = {404: "not_found", 405: "method_not_allowed"}
NO_SPACE = 28


def stand_api(stand: Platform) -> FastAPI:
    """The application, for paths below PREFIX."""

    def authorised(request: Request) -> None:
        authorise(stand, request)

    app = FastAPI(
        title="Bananastand", openapi_url=None, docs_url=None, redoc_url=None, dependencies=[Depends(authorised)]
    )
    app.add_exception_handler(PlatformError, _platform_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)

    def url(request: Request, project: Project) -> str:
        return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}/banana/run/{project.name}"

    @app.get(f"{PREFIX}/status")
    async def status() -> Any:
        return shown.status(stand)

    @app.get(f"{PREFIX}/projects")
    async def projects(request: Request) -> Any:
        rows, builds = list[Any](), stand.builds.latest(1)
        for each in stand.projects.list():
            rows.append(shown.project(stand, each, url(request, each), builds.get(each.id, [])))
            if len(rows) % BATCH == 0:
                await asyncio.sleep(0)  # calls go on
        return {"projects": rows}

    @app.get(f"{PREFIX}/projects/{{name}}")
    async def project(name: str, request: Request) -> Any:
        found = stand.projects.named(name)
        return shown.project(stand, found, url(request, found))

    @app.patch(f"{PREFIX}/projects/{{name}}")
    async def change(name: str, request: Request) -> Any:
        found = stand.projects.change(stand.projects.named(name), await _object(request))
        return shown.project(stand, found, url(request, found))

    @app.delete(f"{PREFIX}/projects/{{name}}")
    async def remove(name: str) -> Any:
        await stand.remove(stand.projects.named(name))
        return {"removed": name}

    @app.post(f"{PREFIX}/projects/{{name}}/deploy")
    async def deploy(name: str, request: Request) -> Any:
        body = await _object(request)
        build = stand.deploy(
            name, body.get("source", ""), environment=body.get("environment"), secrets=body.get("secrets"),
            builder=_builder(body.get("builder")), as_of=body.get("as_of"),
        )  # fmt: skip
        return {"build_id": build.id, "project": name}

    @app.post(f"{PREFIX}/projects/{{name}}/archive")
    async def archive(name: str, request: Request) -> Any:
        order = _order(request.headers.get(ORDER, ""))
        path = await _receive(stand, request)
        try:
            build = stand.deploy(
                name, str(path), environment=order.get("environment"), secrets=order.get("secrets"),
                builder=_builder(order.get("builder")), as_of=order.get("as_of"), archive=path,
            )  # fmt: skip
        finally:
            path.unlink(missing_ok=True)
        return {"build_id": build.id, "project": name}

    @app.post(f"{PREFIX}/projects/{{name}}/rollback")
    async def rollback(name: str, request: Request) -> Any:
        build_id = (await _object(request)).get("build_id")
        build = stand.deployer.rollback(stand.projects.named(name), build_id)
        return {"build_id": build.id, "project": name}

    @app.get(f"{PREFIX}/projects/{{name}}/builds")
    async def builds(name: str, request: Request) -> Any:
        found = stand.projects.named(name)
        return {"builds": [shown.build(stand, each, url(request, found)) for each in stand.builds.list(found)]}

    @app.get(f"{PREFIX}/projects/{{name}}/replicas")
    async def replicas(name: str) -> Any:
        return {"replicas": [shown.replica(each) for each in stand.pool.of_project(stand.projects.named(name).id)]}

    @app.get(f"{PREFIX}/projects/{{name}}/logs")
    async def logs(name: str, follow: bool = Query(False), last: int | None = Query(None, ge=1, le=10_000)) -> Any:
        return _lines(stand.log_of(stand.projects.named(name)), follow, last)

    @app.get(f"{PREFIX}/builds/{{id}}")
    async def build(id: str, request: Request) -> Any:
        found = stand.builds.get(id)
        example = await asyncio.to_thread(example_input, stand.deployer.folder(found) / "source")
        row = shown.build(stand, found, url(request, stand.projects.named(found.project_id)))
        return {**row, "example_input": example}

    @app.post(f"{PREFIX}/builds/{{id}}/cancel")
    async def cancel(id: str, request: Request) -> Any:
        found = await stand.deployer.cancel(stand.builds.get(id))
        return shown.build(stand, found, url(request, stand.projects.named(found.project_id)))

    @app.get(f"{PREFIX}/builds/{{id}}/log")
    async def build_log(id: str, follow: bool = Query(False), last: int | None = Query(None, ge=1, le=10_000)) -> Any:
        return _lines(stand.deployer.log(stand.builds.get(id)), follow, last)

    @app.get(f"{PREFIX}/keys")
    async def keys() -> Any:
        return {"keys": [shown.key(each) for each in stand.keys.list()]}

    @app.post(f"{PREFIX}/keys")
    async def create_key(request: Request) -> Any:
        body = await _object(request)
        key, secret = stand.keys.create(str(body.get("name", "unnamed")))
        return shown.new_key(key, secret)

    @app.delete(f"{PREFIX}/keys/{{id}}")
    async def revoke_key(id: str) -> Any:
        stand.keys.revoke(id)
        return {"revoked": id, "at": time.time()}

    add_disk_routes(app, stand, PREFIX)
    return app


async def call_handler(stand: Platform, name: bytes, path: bytes, request: Request) -> Response:
    """What a project's app answers on a path. Past FastAPI, whose way to a function takes longer than the queue's."""
    try:
        authorise(stand, request)
        project = stand.projects.named(unquote(name.decode("latin-1")))
        target = app_target(path, request.scope["query_string"])
        return await pass_on(stand, project, target, request, strict=True)
    except PlatformError as error:
        return error_response(error)


def authorise(stand: Platform, request: HTTPConnection) -> None:
    """Check the request's key. Raises Unauthorized."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    secrets = [token] if scheme.lower() == "bearer" else []  # an app may want an Authorization of its own
    secrets.append(request.headers.get("x-banana-api-key", ""))
    if all(stand.keys.find(secret.strip()) is None for secret in secrets):
        raise Unauthorized("a key is wanted, as Authorization: Bearer KEY or as X-Banana-API-Key")


async def _object(request: Request) -> dict[str, Any]:
    """The body's JSON object; an empty one for no body. Raises Refused."""
    raw = await read_body(request, MOST)
    return _parsed("the body", raw) if raw else {}


def _order(text: str) -> dict[str, Any]:
    """What goes with an archive: not in the address, which proxies write into their logs. Raises Refused."""
    try:
        return _parsed(ORDER, base64.b64decode(text, validate=True)) if text else {}
    except binascii.Error:
        raise Refused(f"{ORDER} is not base64") from None


def _parsed(what: str, raw: str | bytes) -> dict[str, Any]:
    try:
        value: Any = json.loads(raw)
    except (ValueError, RecursionError):
        raise Refused(f"{what} is not JSON") from None
    if not isinstance(value, dict):
        raise Refused(f"{what} must be a JSON object")
    check_text(what, value)
    return value


def _builder(value: Any) -> str | None:
    if value not in (None, "", "auto", "process", "container"):
        raise Refused("builder: must be process, container or auto")
    return value or None


async def _receive(stand: Platform, request: Request) -> Path:
    """The archive, as a file in the data directory. Raises TooLarge, StoreFull."""
    folder = stand.settings.data / "uploads"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path, size = folder / f"{uuid.uuid4().hex}.part", 0
    try:
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            async for chunk in request.stream():
                size += len(chunk)
                if size > stand.settings.max_archive:
                    raise TooLarge(f"the archive is longer than {stand.settings.max_archive} bytes")
                file.write(chunk)
        if not size:
            raise Refused("the body must be a tar.gz archive")
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno == NO_SPACE:
            raise StoreFull("the disk is full: the archive cannot be kept") from error
        raise
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _lines(log: Log, follow: bool, last: int | None) -> Response:
    """A log as JSON lines, or its last ones; followed until it is closed."""

    async def followed() -> AsyncGenerator[bytes]:
        async for row in log.follow(last):
            yield json.dumps(row).encode() + b"\n"

    if follow:
        return StreamingResponse(followed(), media_type=NDJSON)
    rows = log.lines() if last is None else log.last(last)
    return Response(b"".join(json.dumps(row).encode() + b"\n" for row in rows), media_type=NDJSON)


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status)


async def _platform_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PlatformError)
    return error_response(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = _error(error.status_code, CODES.get(error.status_code, "invalid"), str(error.detail))
    if error.status_code == 405:
        response.headers["allow"] = ", ".join(_methods(request))
    return response


def _methods(request: Request) -> list[str]:
    """Those that the request's path takes: Starlette names those of one route only."""
    routes = [
        each for each in request.app.routes if isinstance(each, Route) and each.path_regex.match(request.url.path)
    ]
    return sorted({method for each in routes for method in each.methods or ()})


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _error(400, "invalid", f"{first['loc'][-1]}: {first['msg']}")
