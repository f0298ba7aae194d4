"""Tasks as their key's holder sees them (D:619-713): status, result, files."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from ..kernel.world import World
from . import state
from .lifecycle import TaskRunner
from .rendering import Rendered, plan

__all__ = ["MEDIA_TYPES", "get_task", "get_task_image", "rendered"]

MEDIA_TYPES = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}


async def get_task(world: World, parameters: dict[str, Any], call: ApiCall, workshop: TaskRunner) -> dict[str, Any]:
    """The task as it stands, with its picture once it has one (D:621-657). Raises ProviderError: task_not_found."""
    row = state.task_of(world, call.credential, parameters["task_id"])
    await workshop.poll(world, row)
    shown: dict[str, Any] = {name: row[name] for name in ("task_id", "status", "diagram_type")}
    shown |= {"image_base64": None, "artifacts": {}, "description": row["description"], "error": row["error"]}
    if row["status"] == "completed" and row["formats"]:
        outcome = await rendered(world, row, workshop)
        shown["image_base64"] = base64.b64encode(outcome.files["png"]).decode()
        shown["artifacts"] = {name: _artifact(call, row["task_id"], name) for name in row["formats"]}
        shown["description"] = outcome.description
    return shown


async def get_task_image(world: World, parameters: dict[str, Any], call: ApiCall, workshop: TaskRunner) -> ApiResponse:
    """A file of the task (D:680-694). Raises ProviderError: task_not_found, no_image."""
    row = state.task_of(world, call.credential, parameters["task_id"])
    await workshop.settle(world, row)
    wanted = parameters.get("format", "png")
    if row["status"] != "completed" or wanted not in row["formats"]:
        raise ProviderError("no_image")
    outcome = await rendered(world, row, workshop)
    named = {"content-disposition": f'attachment; filename="{row["task_id"]}.{wanted}"'}
    return ApiResponse(outcome.files[wanted], 200, named, MEDIA_TYPES[wanted])


async def rendered(world: World, row: state.Row, workshop: TaskRunner) -> Rendered:
    """What a completed task came to; drawn again where it is no longer in memory."""
    wanted = plan(world, row)
    renderer = workshop.renderer
    return await asyncio.wrap_future(renderer.lane.start(lambda: renderer.render(wanted)))


def _artifact(call: ApiCall, task_id: str, name: str) -> dict[str, str]:
    """Where a file is (D:638-652); png is what the address gives by itself."""
    query = "" if name == "png" else f"?format={name}"
    url = f"{call.origin}{call.root}/api/tasks/{task_id}/image{query}"
    return {"format": name, "media_type": MEDIA_TYPES[name], "download_url": url}
