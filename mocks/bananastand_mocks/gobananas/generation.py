"""Generating images and continuing them (B:62-104)."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import asdict, replace
from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.call import ApiCall
from ..kernel.world import World
from . import ledger, sessions
from .characters import find_character
from .pictures import Pictures, Recipe, alter, size_of, to_recipe
from .presets import find_preset
from .ratios import pixels
from .serializers import serialize_generated
from .state import Row, add_image, find_image, images, keep_bytes, setting

__all__ = ["continue_image", "create_image"]

MODEL = "gemini-flash-image"
# What an edit has of the image it began with.
INHERITED = ("negative_prompt", "system_instruction", "style_preset_id", "character_id", "aspect_ratio", "seed")


async def create_image(world: World, call: ApiCall, body: dict[str, Any], pictures: Pictures) -> dict[str, Any]:
    """`n` images of one prompt, picture i from seed + i, and their session.

    Raises ProviderError: invalid, not_found (preset, character or session), quota_exceeded, painting_failed.
    """
    count, most = int(body.get("n", 1)), setting(world, "gobananas.max_images_per_generation")
    if count > most:
        raise ProviderError("invalid", f"Invalid parameters: n: this tenant may generate {most} images at once")
    preset, character = find_preset(world, body), _character(world, body)
    if "session_id" in body:
        sessions.find_session(world, body["session_id"])
    ratio: str = (
        body.get("aspect_ratio")
        or preset.get("aspect_ratio")
        or character.get("preferred_aspect_ratio")
        or setting(world, "gobananas.default_aspect_ratio")
    )
    instruction = body.get("system_instruction", preset.get("system_instruction", character.get("system_instruction")))
    width, height = pixels(ratio)
    recipe = Recipe(
        body["prompt"],
        negative=_join(source.get("negative_prompt") for source in (body, preset, character)),
        style=_join((preset.get("prompt"), instruction)),
        character=character.get("base_prompt", ""),
        seed=int(body.get("seed", 0)),
        width=width,
        height=height,
    )
    recipes = [replace(recipe, seed=recipe.seed + i) for i in range(count)]
    painted = await _paint(world, [pictures.paint(numbered) for numbered in recipes])
    session = sessions.join(world, call, body.get("session_id"))
    details = {
        "operation_type": "generate",
        "parent_id": None,
        "session_id": session,
        "prompt": body["prompt"],
        "negative_prompt": body.get("negative_prompt"),
        "system_instruction": instruction,
        "style_preset_id": preset.get("id"),
        "character_id": character.get("id"),
        "model_id": body.get("model_id", MODEL),
        "aspect_ratio": ratio,
    }
    rows = [
        _keep(world, {**details, "seed": numbered.seed}, content, numbered, keeps_bytes=pictures.keeps)
        for numbered, content in zip(recipes, painted, strict=True)
    ]
    return {"images": [serialize_generated(call, row) for row in rows], "session_id": session}


async def continue_image(world: World, call: ApiCall, body: dict[str, Any], pictures: Pictures) -> dict[str, Any]:
    """Edit an image: the one that is named, else the last of the session or the tenant. The old one stays.

    Raises ProviderError: not_found, quota_exceeded, painting_failed.
    """
    parent = _image_to_edit(world, body)
    if parent["recipe"] is not None:
        previous = to_recipe(parent["recipe"])
        recipe = replace(previous, edits=(*previous.edits, body["prompt"]))
        (content,) = await _paint(world, [pictures.paint(recipe)], edits=1)
        keeps_bytes = pictures.keeps
    else:
        recipe, keeps_bytes = None, True
        original = world.blobs.get(parent["r2_key"])
        if original is None:
            raise ProviderError("not_found", "Image not found")
        (content,) = await _paint(world, [alter(original, body["prompt"])], edits=1)
    details = {
        **{name: parent[name] for name in INHERITED},
        "operation_type": "edit",
        "parent_id": parent["id"],
        "session_id": sessions.touch(world, parent["session_id"]),
        "prompt": body["prompt"],
        "model_id": parent["model_id"] or MODEL,
    }
    row = _keep(world, details, content, recipe, keeps_bytes=keeps_bytes)
    return {"images": [serialize_generated(call, row)], "session_id": row["session_id"]}


async def _paint(world: World, works: Sequence[Coroutine[Any, Any, bytes]], *, edits: int = 0) -> list[bytes]:
    """Paints files and counts them; if one fails, the quota that was claimed is returned."""
    try:
        since = ledger.claim(world, images=len(works), edits=edits)
        try:
            files = [await work for work in works]
        except BaseException:
            ledger.take_back(world, since, images=len(works), edits=edits)
            raise
    finally:
        for work in works:
            work.close()
    ledger.add(world, since, size=sum(len(work) for work in files))
    return files


def _keep(world: World, details: Row, content: bytes, recipe: Recipe | None, *, keeps_bytes: bool) -> Row:
    width, height = (recipe.width, recipe.height) if recipe is not None else size_of(content)
    measured = {"width": width, "height": height, "format": "png", "size_bytes": len(content)}
    row = add_image(
        world, {**details, **measured, "recipe": asdict(recipe) if recipe is not None else None, "kept": keeps_bytes}
    )
    if keeps_bytes:
        keep_bytes(world, row, content)
    return row


def _image_to_edit(world: World, body: dict[str, Any]) -> Row:
    """The image to be edited. Raises ProviderError: not_found."""
    if "image_id" in body:
        return find_image(world, int(body["image_id"]))
    if "session_id" in body:
        candidates = sessions.session_images(world, sessions.find_session(world, body["session_id"])["id"])
    else:
        candidates = list(images(world).values())
    if not candidates:
        raise ProviderError("not_found", "Image not found")
    return candidates[-1]


def _character(world: World, body: dict[str, Any]) -> Row:
    """The character that is named, or nothing. Raises ProviderError: not_found."""
    return find_character(world, int(body["character_id"])) if "character_id" in body else {}


def _join(parts: Any) -> str:
    return ", ".join(part for part in parts if part)
