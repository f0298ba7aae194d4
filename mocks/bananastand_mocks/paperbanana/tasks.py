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
from .rendering import Rendered, plan_rendering

__all__ = ["MEDIA_TYPES", "get_task", "get_task_image", "rendered"]

MEDIA_TYPES = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}


async def get_task(world: World, parameters: dict[str, Any], call: ApiCall, runner: TaskRunner) -> dict[str, Any]:
    """The task as it stands, with its picture once it has one (D:621-657). Raises ProviderError: task_not_found."""
    row = state.task_of(world, call.credential, parameters["task_id"])
    await runner.poll(world, row)
    fields: dict[str, Any] = {name: row[name] for name in ("task_id", "status", "diagram_type")}
    fields |= {"image_base64": None, "artifacts": {}, "description": row["description"], "error": row["error"]}
    if row["status"] == "completed" and row["formats"]:
        outcome = await rendered(world, row, runner)
        fields["image_base64"] = base64.b64encode(outcome.files["png"]).decode()
        fields["artifacts"] = {name: _artifact(call, row["task_id"], name) for name in row["formats"]}
        fields["description"] = outcome.description
    return fields


async def get_task_image(world: World, parameters: dict[str, Any], call: ApiCall, runner: TaskRunner) -> ApiResponse:
    """A file of the task (D:680-694). Raises ProviderError: task_not_found, no_image."""
    row = state.task_of(world, call.credential, parameters["task_id"])
    await runner.settle(world, row)
    format_name = parameters.get("format", "png")
    if row["status"] != "completed" or format_name not in row["formats"]:
        raise ProviderError("no_image")
    outcome = await rendered(world, row, runner)
    headers = {"content-disposition": f'attachment; filename="{row["task_id"]}.{format_name}"'}
    return ApiResponse(outcome.files[format_name], 200, headers, MEDIA_TYPES[format_name])


async def rendered(world: World, row: state.Row, runner: TaskRunner) -> Rendered:
    """What a completed task came to; drawn again where it is no longer in memory."""
    plan = plan_rendering(world, row)
    renderer = runner.renderer
    return await asyncio.wrap_future(renderer.threads.start(lambda: renderer.render(plan)))


def _artifact(call: ApiCall, task_id: str, name: str) -> dict[str, str]:
    """Where a file is (D:638-652); png is what the address gives by itself."""
    query = "" if name == "png" else f"?format={name}"
    url = f"{call.origin}{call.root}/api/tasks/{task_id}/image{query}"
    return {"format": name, "media_type": MEDIA_TYPES[name], "download_url": url}
