"""Go Bananas!' part of a world: tenant, settings, counters, images and their files.

Drawn images keep the recipe they are drawn from, because the same recipe gives the same file; what was uploaded or
painted by an app is kept as bytes, the oldest of which go when there are too many.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.world import World

__all__ = [
    "BUCKET",
    "CHARACTERS",
    "MEGABYTE",
    "MODELS",
    "PRESETS",
    "SESSIONS",
    "SETTINGS",
    "TENANT",
    "COUNTERS",
    "Row",
    "add_image",
    "bucket",
    "find_file",
    "find_image",
    "forget_image",
    "images",
    "keep_bytes",
    "next_id",
    "owns",
    "place",
    "place_file",
    "setting",
    "tenant",
    "iso",
]

Row = dict[str, Any]

IMAGES, FILES, SESSIONS = "gobananas.images", "gobananas.files", "gobananas.sessions"
DELETED = "gobananas.deleted"  # keys of the tenant's that were not below its own name, as B:331 writes them
CHARACTERS, PRESETS = "gobananas.characters", "gobananas.presets"
TENANT, COUNTERS = "gobananas.tenant", "gobananas.counters"
BUCKET = "gobananas-bucket"  # the kind of credential that opens public files

MEGABYTE = 1_000_000
KEPT = 256 * MEGABYTE  # of uploads and painted pictures
MODELS = [
    "gemini-flash-image",
    "gemini-pro-image",
    "gemini-flash-lite-image",
    "gemini-nano-banana-2.1",
    "openai-gpt-image-2",
    "openai-gpt-image-2.5-flare",
    "openai-gpt-image-2.5-sunburst",
]
SETTINGS: dict[str, Any] = {
    "gobananas.monthly_mb": 1000,  # B:46
    "gobananas.monthly_images": 1000,  # B:369
    "gobananas.quota_status": 429,  # or 402, as the provider's plugin has it
    "gobananas.default_aspect_ratio": "1:1",  # B:51
    "gobananas.max_images_per_generation": 4,  # B:52
    "gobananas.session_minutes": 30,
}


def setting(world: World, name: str) -> Any:
    """A setting of the world, such as gobananas.monthly_mb, or its default."""
    return world.settings.get(name, SETTINGS[name])


def tenant(world: World) -> Row:
    """TenantId and tenantName."""
    return world.table(TENANT)


def next_id(world: World, kind: str) -> int:
    """The next id of a kind of thing; ids count from 1."""
    counters = world.table(COUNTERS)
    counters[kind] = counters.get(kind, 0) + 1
    return counters[kind]


def images(world: World) -> dict[str, Row]:
    """The images by id, oldest first."""
    return world.table(IMAGES)


def find_image(world: World, image_id: int) -> Row:
    """The image with this id. Raises ProviderError: not_found."""
    row = images(world).get(str(image_id))
    if row is None:
        raise ProviderError("not_found", "Image not found")
    return row


def add_image(world: World, row: Row) -> Row:
    """Keep an image under the next id, with the names of its two files."""
    row["id"] = next_id(world, "image")
    row["created"] = world.clock.now()
    stem = f"{tenant(world)['tenantId']}/{world.clock.moment():%Y-%m-%d}/{world.ids.hex(24)}"
    return place(world, row, stem)


def place(world: World, row: Row, stem: str) -> Row:
    """Keep an image that has its id, its files under this name."""
    row["r2_key"], row["thumbnail_key"] = f"{stem}.{row['format']}", f"{stem}-thumb.jpg"
    images(world)[str(row["id"])] = row
    files = world.table(FILES)
    files[row["r2_key"]] = {"image": row["id"], "thumbnail": False}
    files[row["thumbnail_key"]] = {"image": row["id"], "thumbnail": True}
    return row


def forget_image(world: World, image_id: int) -> bool:
    """The image and its files are gone; False if there was none."""
    row = images(world).pop(str(image_id), None)
    if row is None:
        return False
    world.blobs.pop(row["r2_key"], None)
    for key in (row["r2_key"], row["thumbnail_key"]):
        world.table(FILES).pop(key, None)
        if not owns(world, key):
            world.table(DELETED)[key] = True
    return True


def place_file(world: World, row: Row, key: str) -> None:
    """Keep a file that belongs to no image of the gallery; the row says how it is drawn."""
    row["r2_key"] = key
    world.table(FILES)[key] = {"row": row, "thumbnail": False}


def find_file(world: World, key: str) -> tuple[Row, bool] | None:
    """The row of the image whose file has this key, and whether it is the thumbnail."""
    found = world.table(FILES).get(key)
    return None if found is None else (found.get("row") or images(world)[str(found["image"])], found["thumbnail"])


def owns(world: World, key: str) -> bool:
    """Whether a file of this key would be the tenant's: below its own name, or a seeded one that was deleted."""
    return key.partition("/")[0] == tenant(world)["tenantId"] or key in world.table(DELETED)


def keep_bytes(world: World, row: Row, content: bytes) -> None:
    """Keep the file of an image that cannot be drawn again, in the place of the oldest where there are too many."""
    world.blobs[row["r2_key"]] = content
    keys = [key for key in world.blobs if key in world.table(FILES)]
    size = sum(len(world.blobs[key]) for key in keys)
    for key in keys[:-1]:
        if size <= KEPT:
            return
        size -= len(world.blobs.pop(key))


def bucket(world: World) -> str:
    """The part of public addresses that finds this world and that nobody guesses who has not its key."""
    if BUCKET not in world.credentials:
        key = "".join(world.credentials.get("gobananas", [world.name]))
        world.admit(BUCKET, f"pub-{hashlib.sha256(f'{BUCKET} {key}'.encode()).hexdigest()[:32]}")
    return world.credentials[BUCKET][0]


def iso(seconds: float) -> str:
    """A moment as B:139 writes it."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
