"""Banana's management API and the CLI's way to deploy: projects, upload, build. Knows no queue.

Observed: the CLI takes every status but 200 for a failure.
"""

from __future__ import annotations

from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from ..kernel.world import World
from . import state
from .runtime import Runtime

__all__ = [
    "build_project",
    "create_project",
    "create_upload",
    "get_project",
    "list_projects",
    "put_upload",
    "update_project",
]

SHOWN = ("id", "teamId", "name", "minReplicas", "maxReplicas", "inferenceTimeout", "idleTimeout")
UPLOAD = "banana-upload"  # the kind of credential that an upload's key is
UPLOADS_KEPT = 20
UPLOADS_BYTES = 256 * 2**20


def list_projects(world: World, runtime: Runtime) -> dict[str, Any]:
    """Every project; any query is let through."""
    return {"results": [_project(row) for row in runtime.list(world)]}


def create_project(world: World, body: dict[str, Any], runtime: Runtime) -> dict[str, Any]:
    """A project, whose id is also the modelKey of its runs: no answer tells another."""
    return _project(runtime.create(world, body["name"]))


def get_project(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """One project. Raises ProviderError: project_not_found."""
    return _project(_find(world, parameters))


def update_project(world: World, parameters: dict[str, Any], body: dict[str, Any], runtime: Runtime) -> dict[str, Any]:
    """Change the settings that are named. Raises ProviderError: project_not_found, violation."""
    return _project(runtime.change(world, _find(world, parameters), body))


def create_upload(world: World, parameters: dict[str, Any], call: ApiCall) -> dict[str, Any]:
    """An address for one archive, which needs no other key than its own. Raises ProviderError: project_not_found."""
    row = _find(world, parameters)
    key = f"{row['id']}/{world.ids.hex(32)}.tar.gz"
    uploads = world.table("bananadev.uploads")
    uploads[key] = {"project": row["id"], "bytes": None}
    world.admit(UPLOAD, key)
    _forget_oldest(world)
    return {"uploadUrl": f"{call.origin}{call.root}/upload/{key}", "key": key}


def put_upload(world: World, parameters: dict[str, Any], call: ApiCall) -> ApiResponse:
    """Keep the archive. Raises ProviderError: upload_refused."""
    key = parameters["key"]
    upload = world.table("bananadev.uploads").get(key)
    if upload is None:
        raise ProviderError("upload_refused")
    upload["bytes"] = len(call.raw)
    world.blobs[f"bananadev/{key}"] = call.raw
    _forget_oldest(world)
    return ApiResponse(status=200)


def build_project(world: World, parameters: dict[str, Any], body: dict[str, Any], runtime: Runtime) -> dict[str, Any]:
    """Build an archive that was put. Raises ProviderError: project_not_found, upload_not_found."""
    row = _find(world, parameters)
    upload = world.table("bananadev.uploads").get(body["key"])
    if upload is None or upload["bytes"] is None or upload["project"] != row["id"]:
        raise ProviderError("upload_not_found")
    return {"id": runtime.deploy(world, row["modelKey"], body["key"], {})}


def _forget_oldest(world: World) -> None:
    """Beyond the last UPLOADS_KEPT and UPLOADS_BYTES."""
    uploads = world.table("bananadev.uploads")
    size = sum(each["bytes"] or 0 for each in uploads.values())
    while len(uploads) > UPLOADS_KEPT or (size > UPLOADS_BYTES and len(uploads) > 1):
        oldest = next(iter(uploads))
        size -= uploads.pop(oldest)["bytes"] or 0
        world.blobs.pop(f"bananadev/{oldest}", None)
        world.expel(UPLOAD, oldest)


def _find(world: World, parameters: dict[str, Any]) -> state.Row:
    row = state.find_model(world, parameters["id"])
    if row is None:
        raise ProviderError("project_not_found")
    return row


def _project(row: state.Row) -> dict[str, Any]:
    return {name: row[name] for name in SHOWN}
