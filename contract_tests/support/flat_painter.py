"""A painter for Go Bananas! that draws plain pictures at once, for tests that are about the API."""

from __future__ import annotations

import io

from PIL import Image

from bananastand_mocks.gobananas.pictures import Recipe

__all__ = ["FlatPainter"]


class FlatPainter:
    """Paints at once and in black."""

    keeps = True

    async def paint(self, recipe: Recipe) -> bytes:
        file = io.BytesIO()
        Image.new("1", (recipe.width, recipe.height)).save(file, "PNG")
        return file.getvalue()
