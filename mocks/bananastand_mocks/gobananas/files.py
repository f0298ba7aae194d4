"""The files of images: behind the proxy (B:326-338) and at their public addresses.

A key is never joined to a path, so `..`, backslashes and null bytes in it are letters like others.
"""

from __future__ import annotations

from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.response import ApiResponse

from ..kernel.world import World
from .pictures import drawn, shrink, shrunk, to_recipe
from .state import Row, find_file, owns

__all__ = ["get_file", "get_public_file", "measure", "read"]

MISSING = "Image not found"


async def get_file(world: World, parameters: dict[str, Any]) -> ApiResponse:
    """A file of the tenant; with `download` it has a name to be saved as.

    Raises ProviderError: not_found, below the tenant's own name or where a file was deleted; forbidden elsewhere.
    """
    key: str = parameters["r2Key"]
    found = find_file(world, key)
    if found is None:
        if owns(world, key):
            raise ProviderError("not_found", MISSING)
        raise ProviderError("forbidden")
    answer = await read(world, *found)
    if parameters.get("download", False):
        answer.headers["content-disposition"] = f'attachment; filename="{key.rsplit("/", 1)[-1]}"'
    return answer


async def get_public_file(world: World, parameters: dict[str, Any]) -> ApiResponse:
    """A file at the address that an answer named. Raises ProviderError: not_found."""
    found = find_file(world, parameters["r2Key"])
    if found is None:
        raise ProviderError("not_found", MISSING)
    return await read(world, *found)


async def read(world: World, row: Row, thumbnail: bool) -> ApiResponse:
    """An image's file, or its thumbnail's. Raises ProviderError: not_found, where its bytes had to make room."""
    kind = "image/jpeg" if thumbnail else f"image/{row['format']}"
    if row["recipe"] is not None and not row["kept"]:
        recipe = to_recipe(row["recipe"])
        return ApiResponse(await (shrunk(recipe) if thumbnail else drawn(recipe)), 200, {}, kind)
    content = world.blobs.get(row["r2_key"])
    if content is None:
        raise ProviderError("not_found", MISSING)
    return ApiResponse(await shrink(content) if thumbnail else content, 200, {}, kind)


async def measure(world: World, row: Row) -> None:
    """Know the size of a file that nobody has drawn yet."""
    if row["size_bytes"] is None:
        row["size_bytes"] = len((await read(world, row, False)).body)
