"""Characters (B:257-286): who returns from picture to picture."""

from __future__ import annotations

from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from ..kernel.world import World
from .serializers import image_urls
from .state import CHARACTERS, Row, find_image, images, iso, next_id

__all__ = [
    "create_character",
    "delete_character",
    "find_character",
    "get_character",
    "list_characters",
    "update_character",
]

MOST = 100  # published scripts read a page that is shorter than 100 as the last
FIELDS = (
    "character_name",
    "base_prompt",
    "description",
    "negative_prompt",
    "system_instruction",
    "preferred_aspect_ratio",
    "reference_image_ids",
    "tags",
)


def list_characters(world: World, call: ApiCall, parameters: dict[str, Any]) -> dict[str, Any]:
    """A page of characters, oldest first, found by a part of the name or, with `exact`, by all of it."""
    search, exact = parameters.get("search", "").casefold(), parameters.get("exact", False)
    names = [(row["character_name"].casefold(), row) for row in world.table(CHARACTERS).values()]
    found = [row for name, row in names if not search or (name == search if exact else search in name)]
    limit, offset = min(parameters.get("limit", MOST), MOST), parameters.get("offset", 0)
    page = [_serialize(world, call, row) for row in found[offset : offset + limit]]
    more = offset + limit < len(found)
    pagination = {"total": len(found), "limit": limit, "offset": offset, "has_more": more, "hasMore": more}
    return {"characters": page, "data": page, "pagination": pagination}


def create_character(world: World, call: ApiCall, body: dict[str, Any]) -> ApiResponse:
    """A new character. Raises ProviderError: not_found, for a reference image."""
    fields = _known_fields(world, body)
    row = {"id": next_id(world, "character"), "created": world.clock.now(), **fields}
    world.table(CHARACTERS)[str(row["id"])] = row
    return ApiResponse(_serialize(world, call, row), 201)


def get_character(world: World, call: ApiCall, parameters: dict[str, Any]) -> dict[str, Any]:
    """One character. Raises ProviderError: not_found."""
    return _serialize(world, call, find_character(world, parameters["id"]))


def update_character(world: World, call: ApiCall, parameters: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Change what is given. Raises ProviderError: not_found."""
    row = find_character(world, parameters["id"])
    row.update(_known_fields(world, body))
    return _serialize(world, call, row)


def delete_character(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """The character is gone; images of it stay. Raises ProviderError: not_found."""
    row = find_character(world, parameters["id"])
    del world.table(CHARACTERS)[str(row["id"])]
    return {"deleted": True, "id": row["id"]}


def find_character(world: World, character_id: int) -> Row:
    """The character with this id. Raises ProviderError: not_found."""
    row = world.table(CHARACTERS).get(str(character_id))
    if row is None:
        raise ProviderError("not_found", "Character not found")
    return row


def _known_fields(world: World, body: dict[str, Any]) -> Row:
    """The fields that are known. Raises ProviderError: not_found, for a reference image."""
    for image_id in body.get("reference_image_ids", ()):
        find_image(world, int(image_id))
    return {name: body[name] for name in FIELDS if name in body}


def _serialize(world: World, call: ApiCall, row: Row) -> dict[str, Any]:
    references = [images(world).get(str(int(image))) for image in row.get("reference_image_ids", ())]
    return {
        **{name: value for name, value in row.items() if name != "created"},
        "created_at": iso(row["created"]),
        "reference_images": [{"id": image["id"], **image_urls(call, image)} for image in references if image],
    }
