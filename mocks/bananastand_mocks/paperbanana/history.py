"""The admin's view of all tasks, deliveries included (D:579); the addresses are the published source's."""

from __future__ import annotations

import base64
from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.world import World
from . import state
from .lifecycle import TaskRunner
from .tasks import rendered

__all__ = ["get_history", "list_history", "matching"]

SIZE = 20


def list_history(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """A page of tasks, newest first, of one endpoint, status or key where asked."""
    page, size = parameters.get("page", 1), parameters.get("size", SIZE)
    tasks = matching(world, **{name: parameters.get(name) for name in ("endpoint", "status", "api_key")})
    items = [_item(row) for row in tasks[(page - 1) * size : page * size]]
    pages = max(1, -(-len(tasks) // size))
    return {"items": items, "total": len(tasks), "page": page, "size": size, "pages": pages}


async def get_history(world: World, parameters: dict[str, Any], runner: TaskRunner) -> dict[str, Any]:
    """Everything about one task. Raises ProviderError: not_in_history."""
    row = state.tasks(world).get(parameters["task_id"])
    if row is None:
        raise ProviderError("not_in_history")
    await runner.settle(world, row)
    hook: state.Row = row["webhook"] or {"url": None, "include_image": False, "status": None, "tries": []}
    fields = {
        **_item(row),
        "input_params": row["input_params"],
        "description": row["description"],
        "error": row["error"],
        "image_path": None,
        "image_base64": None,
        "webhook_url": hook["url"],
        "webhook_include_image": int(hook["include_image"]),
        "webhook_status": hook["status"],
        "webhook_attempts": len(hook["tries"]),
        "webhook_last_error": hook["tries"][-1]["error"] if hook["tries"] else None,
    }
    if row["status"] == "completed" and row["formats"]:
        outcome = await rendered(world, row, runner)
        fields["image_path"] = f"paperbanana/{row['task_id']}/figure.png"
        fields["image_base64"] = base64.b64encode(outcome.files["png"]).decode()
        fields["description"] = outcome.description
    return fields


def matching(
    world: World, *, endpoint: str | None = None, status: str | None = None, api_key: str | None = None
) -> list[state.Row]:
    """Return the tasks that fit, newest first; `api_key` is a key in full or its mask."""
    return [
        row
        for row in reversed(list(state.tasks(world).values()))
        if endpoint in (None, row["endpoint"])
        and status in (None, row["status"])
        and api_key in (None, row["api_key"], state.mask(row["api_key"]))
    ]


def _item(row: state.Row) -> dict[str, Any]:
    fields = {name: row[name] for name in ("task_id", "key_name", "endpoint", "diagram_type", "status")}
    moments = {name: state.iso(row[name]) for name in ("created_at", "completed_at")}
    return {**fields, **moments, "api_key": state.mask(row["api_key"])}
