"""The platform's own HTTP API, /stand/v1, which the command line uses.

Every route requires an API key, as a bearer token or in X-Banana-API-Key.
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
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fastapi import Depends, FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bananastand.asgi.credentials import bearer_token

from ..building.example_input import example_input
from ..errors import PlatformError, Refused, StoreFull, Unauthorized
from ..platform import Platform
from ..store.bodies import TooLarge
from ..store.logs import Log
from ..store.projects import Project, Projects
from ..store.storable import check_text
from . import serializers
from .disk import add_disk_routes
from .errors import error_response, json_error
from .exports import add_export_routes
from .headers import app_target
from .nodes import add_node_routes
from .proxy import pass_on, read_body

__all__ = ["CALL", "PREFIX", "authorise", "call_handler", "platform_api"]

PREFIX = "/stand/v1"
CALL = re.compile(rf"{PREFIX}/projects/([^/]+)/call(/.*)".encode(), re.DOTALL)  # of a path as it was sent
DEPLOY_OPTIONS = "x-stand-order"  # header of an archive: environment, secrets and builder as JSON in base64
BATCH = 10  # projects that are read before calls have their turn
MAX_JSON = 2**20  # bytes of a JSON body
NDJSON = "application/x-ndjson"
CODES = {404: "not_found", 405: "method_not_allowed"}
NO_SPACE = 28


def platform_api(platform: Platform) -> FastAPI:
    """Return the application, for paths below PREFIX."""

    def authorised(request: Request) -> None:
        authorise(platform, request)

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
        return serializers.status(platform)

    @app.get(f"{PREFIX}/fronts")
    async def fronts() -> Any:
        return {"fronts": [asdict(row) for row in await platform.list_fronts()]}

    @app.get(f"{PREFIX}/projects")
    async def projects(request: Request, limit: int | None = Query(None, ge=1), after: str | None = None) -> Any:
        rows, listed = list[Any](), _page_of(platform.projects, limit, after)
        builds = platform.builds.latest(1, listed)
        for row in listed:
            rows.append(serializers.project(platform, row, url(request, row), builds.get(row.id, [])))
            if len(rows) % BATCH == 0:
                await asyncio.sleep(0)  # calls go on
        return {"projects": rows}

    @app.get(f"{PREFIX}/projects/{{name}}")
    async def project(name: str, request: Request) -> Any:
        row = platform.projects.named(name)
        return serializers.project(platform, row, url(request, row))

    @app.patch(f"{PREFIX}/projects/{{name}}")
    async def change(name: str, request: Request) -> Any:
        row = platform.projects.change(platform.projects.named(name), await _object(request))
        return serializers.project(platform, row, url(request, row))

    @app.delete(f"{PREFIX}/projects/{{name}}")
    async def remove(name: str) -> Any:
        await platform.remove(platform.projects.named(name))
        return {"removed": name}

    @app.post(f"{PREFIX}/projects/{{name}}/deploy")
    async def deploy(name: str, request: Request) -> Any:
        body = await _object(request)
        build = platform.deploy(
            name, body.get("source", ""), environment=body.get("environment"), secrets=body.get("secrets"),
            builder=_builder(body.get("builder")), as_of=body.get("as_of"),
        )  # fmt: skip
        return {"build_id": build.id, "project": name}

    @app.post(f"{PREFIX}/projects/{{name}}/archive")
    async def archive(name: str, request: Request) -> Any:
        options = _deploy_options(request.headers.get(DEPLOY_OPTIONS, ""))
        path = await _receive(platform, request)
        try:
            build = platform.deploy(
                name, str(path), environment=options.get("environment"), secrets=options.get("secrets"),
                builder=_builder(options.get("builder")), as_of=options.get("as_of"), archive=path,
            )  # fmt: skip
            await platform.deployer.keep_archive(build)
        finally:
            path.unlink(missing_ok=True)
        return {"build_id": build.id, "project": name}

    @app.post(f"{PREFIX}/projects/{{name}}/rollback")
    async def rollback(name: str, request: Request) -> Any:
        build_id = (await _object(request)).get("build_id")
        build = platform.deployer.rollback(platform.projects.named(name), build_id)
        return {"build_id": build.id, "project": name}

    @app.get(f"{PREFIX}/projects/{{name}}/builds")
    async def builds(name: str, request: Request) -> Any:
        row = platform.projects.named(name)
        run_url = url(request, row)
        return {"builds": [serializers.build(platform, build, run_url) for build in platform.builds.list(row)]}

    @app.get(f"{PREFIX}/projects/{{name}}/replicas")
    async def replicas(name: str) -> Any:
        return {
            "replicas": [serializers.replica(row) for row in platform.pool.of_project(platform.projects.named(name).id)]
        }

    @app.get(f"{PREFIX}/projects/{{name}}/logs")
    async def logs(name: str, follow: bool = Query(False), last: int | None = Query(None, ge=1, le=10_000)) -> Any:
        return _lines(platform.log_of(platform.projects.named(name)), follow, last)

    @app.get(f"{PREFIX}/builds/{{id}}")
    async def build(id: str, request: Request) -> Any:
        row = platform.builds.get(id)
        example = await asyncio.to_thread(example_input, platform.deployer.folder(row) / "source")
        values = serializers.build(platform, row, url(request, platform.projects.named(row.project_id)))
        return {**values, "example_input": example}

    @app.post(f"{PREFIX}/builds/{{id}}/cancel")
    async def cancel(id: str, request: Request) -> Any:
        row = await platform.deployer.cancel(platform.builds.get(id))
        return serializers.build(platform, row, url(request, platform.projects.named(row.project_id)))

    @app.get(f"{PREFIX}/builds/{{id}}/log")
    async def build_log(id: str, follow: bool = Query(False), last: int | None = Query(None, ge=1, le=10_000)) -> Any:
        return _lines(platform.deployer.log(platform.builds.get(id)), follow, last)

    @app.get(f"{PREFIX}/keys")
    async def keys() -> Any:
        return {"keys": [serializers.key(row) for row in platform.keys.list()]}

    @app.post(f"{PREFIX}/keys")
    async def create_key(request: Request) -> Any:
        body = await _object(request)
        key, secret = platform.keys.create(str(body.get("name", "unnamed")))
        return serializers.new_key(key, secret)

    @app.delete(f"{PREFIX}/keys/{{id}}")
    async def revoke_key(id: str) -> Any:
        platform.keys.revoke(id)
        return {"revoked": id, "at": time.time()}

    add_disk_routes(app, platform, PREFIX)
    add_export_routes(app, platform, PREFIX)
    add_node_routes(app, platform, PREFIX)
    return app


async def call_handler(platform: Platform, name: bytes, path: bytes, request: Request) -> Response:
    """Return what a project's app answers on a path.

    Called without FastAPI, whose routing takes longer than the queue.

    Args:
        platform: The platform.
        name: The project's name, as it was sent.
        path: The app's path, percent-encoded.
        request: The caller's request.
    """
    try:
        authorise(platform, request)
        project = platform.projects.named(unquote(name.decode("latin-1")))
        target = app_target(path, request.scope["query_string"])
        return await pass_on(platform, project, target, request, strict=True)
    except PlatformError as error:
        return error_response(error)


def authorise(platform: Platform, request: HTTPConnection) -> None:
    """Check the request's API key. Raises Unauthorized."""
    # An Authorization of another scheme may be meant for the app.
    secrets = (bearer_token(request.headers.get("authorization", "")), request.headers.get("x-banana-api-key"))
    if all(secret is None or platform.keys.find(secret.strip()) is None for secret in secrets):
        raise Unauthorized("an API key is required, as Authorization: Bearer KEY or as X-Banana-API-Key")


def _page_of(projects: Projects, limit: int | None, after: str | None) -> list[Project]:
    """Return projects, oldest first: at most `limit`, and those that come after one. Raises NotFound."""
    rows = projects.list()
    begin = 0 if after is None else rows.index(projects.named(after)) + 1
    return rows[begin:] if limit is None else rows[begin : begin + limit]


async def _object(request: Request) -> dict[str, Any]:
    """Return the body's JSON object; an empty one for no body. Raises Refused."""
    raw = await read_body(request, MAX_JSON)
    return _parsed("the body", raw) if raw else {}


def _deploy_options(text: str) -> dict[str, Any]:
    """Read the options of an archive's deploy. They are in no URL, which proxies write to logs. Raises Refused."""
    try:
        return _parsed(DEPLOY_OPTIONS, base64.b64decode(text, validate=True)) if text else {}
    except binascii.Error:
        raise Refused(f"{DEPLOY_OPTIONS} is not base64") from None


def _parsed(source: str, raw: str | bytes) -> dict[str, Any]:
    try:
        value: Any = json.loads(raw)
    except (ValueError, RecursionError):
        raise Refused(f"{source} is not JSON") from None
    if not isinstance(value, dict):
        raise Refused(f"{source} must be a JSON object")
    check_text(source, value)
    return value


def _builder(value: Any) -> str | None:
    if value not in (None, "", "auto", "process", "container"):
        raise Refused("builder: must be process, container or auto")
    return value or None


async def _receive(platform: Platform, request: Request) -> Path:
    """Receive an archive as a file in the data directory. Raises TooLarge, StoreFull."""
    folder = platform.settings.data / "uploads"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path, size = folder / f"{uuid.uuid4().hex}.part", 0
    try:
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            async for chunk in request.stream():
                size += len(chunk)
                if size > platform.settings.max_archive:
                    raise TooLarge(f"the archive is longer than {platform.settings.max_archive} bytes")
                file.write(chunk)
        if not size:
            raise Refused("the body must be a tar.gz archive")
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno == NO_SPACE:
            raise StoreFull("the disk is full: the archive cannot be stored") from error
        raise
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _lines(log: Log, follow: bool, last: int | None) -> Response:
    """Return a log, or its last lines, as JSON lines; with `follow` until the log is closed."""

    async def new_lines() -> AsyncGenerator[bytes]:
        async for row in log.follow(last):
            yield json.dumps(row).encode() + b"\n"

    if follow:
        return StreamingResponse(new_lines(), media_type=NDJSON)
    rows = log.lines() if last is None else log.last(last)
    return Response(b"".join(json.dumps(row).encode() + b"\n" for row in rows), media_type=NDJSON)


async def _platform_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PlatformError)
    return error_response(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = json_error(error.status_code, CODES.get(error.status_code, "invalid"), str(error.detail))
    if error.status_code == 405:
        response.headers["allow"] = ", ".join(_methods(request))
    return response


def _methods(request: Request) -> list[str]:
    """Return the methods of all routes of the request's path: Starlette names those of one route only."""
    routes = [
        route for route in request.app.routes if isinstance(route, Route) and route.path_regex.match(request.url.path)
    ]
    return sorted({method for route in routes for method in route.methods or ()})


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return json_error(400, "invalid", f"{first['loc'][-1]}: {first['msg']}")
