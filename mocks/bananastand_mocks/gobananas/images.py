"""The gallery (B:110-186): list, read and delete images."""

from __future__ import annotations

from typing import Any

from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from ..kernel.world import World
from . import files
from .serializers import serialize_generated, serialize_listed
from .state import Row, find_image, forget_image, images

__all__ = ["delete_image", "delete_images", "get_image", "list_images", "matching"]

PAGE, MOST = 50, 200
DETAILS = (
    "aspect_ratio",
    "model_id",
    "session_id",
    "r2_key",
    "negative_prompt",
    "system_instruction",
    "style_preset_id",
    "character_id",
    "seed",
    "parent_id",
)


def list_images(world: World, call: ApiCall, parameters: dict[str, Any]) -> dict[str, Any]:
    """A page of the images whose prompts hold `search`, newest first (B:123-128)."""
    limit, offset = min(parameters.get("limit", PAGE), MOST), parameters.get("offset", 0)
    found = matching(world, parameters.get("search", ""))
    return {
        "images": [serialize_listed(call, row) for row in found[offset : offset + limit]],
        "pagination": {
            "total": len(found),
            "limit": limit,
            "offset": offset,
            "has_more": offset + limit < len(found),
        },
    }


async def get_image(world: World, call: ApiCall, parameters: dict[str, Any]) -> dict[str, Any]:
    """Everything that is known of an image, with the edits that led to it. Raises ProviderError: not_found."""
    row = find_image(world, parameters["id"])
    await files.measure(world, row)
    steps = [
        {name: step[name] for name in ("id", "prompt", "created_at", "operation_type")} for step in _history(call, row)
    ]
    return {
        **serialize_listed(call, row),
        **serialize_generated(call, row),
        **{name: row[name] for name in DETAILS},
        "edit_history": steps,
    }


def delete_image(world: World, parameters: dict[str, Any]) -> ApiResponse:
    """The image and its files are gone. Raises ProviderError: not_found."""
    find_image(world, parameters["id"])
    forget_image(world, parameters["id"])
    return ApiResponse(None, 204)


def delete_images(world: World, body: dict[str, Any]) -> dict[str, Any]:
    """Delete up to 20 images; the others are named with the reason (B:171-186)."""
    deleted: list[int] = []
    failed: list[dict[str, Any]] = []
    for image_id in dict.fromkeys(int(number) for number in body["ids"]):
        if forget_image(world, image_id):
            deleted.append(image_id)
        else:
            failed.append({"id": image_id, "reason": "Not found"})
    return {"deleted": deleted, "failed": failed}


def matching(world: World, search: str) -> list[Row]:
    """The images whose prompts hold these words, newest first."""
    text = search.casefold()
    return [row for row in reversed(images(world).values()) if text in row["prompt"].casefold()]


def _history(call: ApiCall, row: Row) -> list[dict[str, Any]]:
    """From the first image to this one. An image that was deleted meanwhile ends the way back."""
    chain: list[Row] = []
    step: Row | None = row
    while step is not None:
        chain.append(step)
        step = images(call.world).get(str(step["parent_id"]))
    return [serialize_listed(call, step_row) for step_row in reversed(chain)]
