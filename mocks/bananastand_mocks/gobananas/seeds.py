"""What a new world holds: the tenant, its settings and limit, and by kind of world some things to begin with."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ..kernel.world import World
from ..kernel.worlds import OTHER, Kind
from . import ledger
from .pictures import Recipe
from .ratios import pixels
from .state import CHARACTERS, COUNTERS, MEGABYTE, PRESETS, SESSIONS, SETTINGS, TENANT, Row, place, place_file

__all__ = ["RATE", "fill"]

RATE = (60, 60.0)  # calls and seconds, B:368
TENANTS = {
    OTHER: {"tenantId": "other-corp", "tenantName": "Other Corporation"},
    "": {"tenantId": "acme-corp", "tenantName": "Acme Corporation"},  # B:43-44
}
WATERCOLOR = {
    "name": "Watercolor",
    "prompt": "watercolor painting style,",
    "system_instruction": "Soft artistic watercolor aesthetic",
}
CAPTAIN = {"character_name": "Captain Banana", "base_prompt": "A cheerful banana with a blue cap and a red scarf"}
DOCUMENTED_AT = datetime(2025, 1, 15, 10, 30, tzinfo=UTC).timestamp()  # B:139
PROMPT = "A sunset over mountains"  # B:138


def fill(world: World, kind: Kind) -> None:
    """Fill a world that has just begun."""
    for name, value in SETTINGS.items():
        world.settings.setdefault(name, value)
    world.limits.set("gobananas", *RATE)
    world.table(TENANT).update(TENANTS.get(world.name, TENANTS[""]))
    if kind == "development":
        _begin(world, 1, 1)
    elif kind == "documents":
        _begin(world, 5, 3)
        _documented(world)


def _begin(world: World, character: int, preset: int) -> None:
    """A character and a preset with these ids, which are the last ones given."""
    now = world.clock.now()
    world.table(COUNTERS).update(character=character, preset=preset)
    world.table(CHARACTERS)[str(character)] = {"id": character, "created": now, **CAPTAIN}
    world.table(PRESETS)[str(preset)] = {"id": preset, "created": now, **WATERCOLOR}


def _documented(world: World) -> None:
    """Images 42 and 43 but not 44 (B:184), session-abc, the usage of B:242-250 and B:47.

    The file of B:331 is of neither image: deleting one (B:164, B:177) leaves it.
    """
    world.table(SESSIONS)["session-abc"] = {"id": "session-abc", "holder": "", "last": DOCUMENTED_AT}
    place(world, _image(42, ()), "tenant/image")  # B:94
    place(world, _image(43, ("Make the sky green",)), "tenant/image-2")
    place_file(world, _image(41, ()), "tenant/2025-01-15/image.png")
    world.table(COUNTERS)["image"] = 44
    ledger.add(world, DOCUMENTED_AT - 86400, images=498, edits=179, size=120_300_000)
    ledger.add(world, DOCUMENTED_AT, images=25, edits=10, size=5_200_000)
    ledger.add(world, world.clock.now(), images=100, edits=20, size=125 * MEGABYTE)


def _image(image_id: int, edits: tuple[str, ...]) -> Row:
    width, height = pixels("16:9")
    recipe = Recipe(PROMPT, width=width, height=height, edits=edits)
    empty: dict[str, Any] = dict.fromkeys(("negative_prompt", "system_instruction", "style_preset_id", "character_id"))
    return {
        **empty,
        "id": image_id,
        "created": DOCUMENTED_AT,
        "prompt": edits[-1] if edits else PROMPT,
        "operation_type": "edit" if edits else "generate",
        "parent_id": 42 if edits else None,
        "session_id": "session-abc",
        "aspect_ratio": "16:9",
        "model_id": "gemini-flash-image",
        "seed": 0,
        "width": width,
        "height": height,
        "format": "png",
        "size_bytes": None,
        "kept": False,
        "recipe": asdict(recipe),
    }
