"""Style presets (B:290-320)."""

from __future__ import annotations

from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.response import ApiResponse

from ..kernel.world import World
from .state import PRESETS, Row, iso, next_id

__all__ = ["find_preset", "create_style_preset", "delete_style_preset", "list_style_presets"]

FIELDS = ("name", "prompt", "negative_prompt", "system_instruction", "aspect_ratio")
MISSING = "Style preset not found"


def list_style_presets(world: World) -> dict[str, Any]:
    """All presets, oldest first."""
    return {"presets": [_serialize(row) for row in world.table(PRESETS).values()]}


def create_style_preset(world: World, body: dict[str, Any]) -> ApiResponse:
    """A new preset."""
    row = {name: body[name] for name in FIELDS if name in body}
    row |= {"id": next_id(world, "preset"), "created": world.clock.now()}
    world.table(PRESETS)[str(row["id"])] = row
    return ApiResponse(_serialize(row), 201)


def delete_style_preset(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """The preset is gone; images made with it stay. Raises ProviderError: not_found."""
    if world.table(PRESETS).pop(str(parameters["id"]), None) is None:
        raise ProviderError("not_found", MISSING)
    return {"deleted": True, "id": parameters["id"]}


def find_preset(world: World, body: dict[str, Any]) -> Row:
    """The preset a generation names, by id first (B:84-85); nothing where it names none. Raises: not_found."""
    if "style_preset_id" in body:
        found = world.table(PRESETS).get(str(int(body["style_preset_id"])))
    elif "style_preset_name" in body:
        found = next((row for row in world.table(PRESETS).values() if row["name"] == body["style_preset_name"]), None)
    else:
        return {}
    if found is None:
        raise ProviderError("not_found", MISSING)
    return found


def _serialize(row: Row) -> dict[str, Any]:
    return {**{name: value for name, value in row.items() if name != "created"}, "created_at": iso(row["created"])}
