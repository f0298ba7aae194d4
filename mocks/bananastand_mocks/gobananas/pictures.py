"""Makes the files of images, off the event loop.

Whatever paints follows the `Pictures` protocol: here what draws, in `app_pictures` what asks a running app.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, Protocol

from ..drawing.pictures import NotAPicture, Recipe

__all__ = [
    "DrawnPictures",
    "NotAPicture",
    "Pictures",
    "Recipe",
    "alter",
    "drawn",
    "inspect",
    "shrink",
    "shrunk",
    "size_of",
    "to_recipe",
]


class Pictures(Protocol):
    """Paints a recipe as a PNG of its size. `keeps` says that its files cannot be had again."""

    keeps: bool

    def paint(self, recipe: Recipe) -> Coroutine[Any, Any, bytes]:
        """The file. Raises ProviderError: painting_failed."""
        ...


class DrawnPictures:
    """Draws: the same recipe gives the same file."""

    keeps = False

    async def paint(self, recipe: Recipe) -> bytes:
        """Draws the file and its thumbnail, which is requested next."""
        content = await drawn(recipe)
        await shrunk(recipe)
        return content


def to_recipe(row: dict[str, Any]) -> Recipe:
    """The recipe as it was before it became JSON."""
    fields: dict[str, Any] = {**row, "edits": tuple(row["edits"])}
    return Recipe(**fields)


async def drawn(recipe: Recipe) -> bytes:
    """The PNG of a recipe."""
    return await asyncio.to_thread(_draw, recipe)


async def shrunk(recipe: Recipe) -> bytes:
    """The JPEG thumbnail of a recipe."""
    return await asyncio.to_thread(_shrink, recipe)


async def shrink(content: bytes) -> bytes:
    """The JPEG thumbnail of a file."""
    return await asyncio.to_thread(_thumbnail, content)


async def alter(content: bytes, prompt: str) -> bytes:
    """A picture that was uploaded, with what the prompt asks for, as PNG."""
    return await asyncio.to_thread(_redraw, content, prompt)


async def inspect(content: bytes) -> tuple[str, int, int]:
    """Format, width and height of a picture from outside. Raises NotAPicture."""
    return await asyncio.to_thread(_inspect, content)


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height of a PNG of ours."""
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


@lru_cache(maxsize=16)
def _draw(recipe: Recipe) -> bytes:
    from ..drawing.pictures.painter import draw

    return draw(recipe)


@lru_cache(maxsize=256)
def _shrink(recipe: Recipe) -> bytes:
    return _thumbnail(_draw(recipe))


def _thumbnail(content: bytes) -> bytes:
    from ..drawing.pictures.encoding import thumbnail

    return thumbnail(content)


def _redraw(content: bytes, prompt: str) -> bytes:
    from ..drawing.pictures.painter import redraw

    return redraw(content, prompt)


def _inspect(content: bytes) -> tuple[str, int, int]:
    from ..drawing.pictures.encoding import inspect

    return inspect(content)
