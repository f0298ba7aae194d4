"""Draws the pictures of a result when they are fetched; Pillow is imported with the first."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from typing import Any

from ..drawing.pictures import Recipe

__all__ = ["MEDIA_TYPES", "data_url", "draw", "drawable_size"]

MEDIA_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
SHORTEST, LONGEST = 64, 2048  # pixels of a side that is drawn


def drawable_size(width: int, height: int) -> tuple[int, int]:
    """Return the size in which a picture is drawn: each side has 64 to 2048 pixels."""
    return min(max(width, SHORTEST), LONGEST), min(max(height, SHORTEST), LONGEST)


@lru_cache(maxsize=32)
def draw(recipe: Recipe, file_format: str) -> bytes:
    """Return the file of a recipe, in a format of MEDIA_TYPES."""
    from PIL import Image

    from ..drawing.pictures.painter import draw as paint

    content = paint(recipe)
    if file_format == "png":
        return content
    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").save(buffer, file_format.upper(), quality=90)
    return buffer.getvalue()


def data_url(picture: dict[str, Any]) -> str:
    """Return the file of a stored recipe as a data URL."""
    content = draw(Recipe(**picture["recipe"]), picture["format"])
    return f"data:{MEDIA_TYPES[picture['format']]};base64,{base64.b64encode(content).decode()}"
