"""Pictures from outside (published clients only): as a file, as a data URL, or by the address of one that is here.

Nothing is fetched: a mock that fetched whatever address it is given would be a way into the network it runs in.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any
from urllib.parse import unquote, urlsplit

from bananastand.contracts.errors import ProviderError

from ..kernel.call import ApiCall
from ..kernel.world import World
from . import files, ledger, multipart, sessions
from .pictures import NotAPicture, inspect
from .serializers import serialize_generated
from .state import MEGABYTE, Row, add_image, bucket, find_file, keep_bytes

__all__ = ["upload_for_editing", "upload_image"]

LARGEST = 20 * MEGABYTE


async def upload_image(world: World, call: ApiCall, body: dict[str, Any] | None) -> dict[str, Any]:
    """Keep a picture, sent as a file or by `image_url`. Raises ProviderError: invalid, too_large, quota_exceeded."""
    if body is None:
        content = multipart.find_file(call.headers["content-type"], call.raw, "file")
        if content is None:
            raise ProviderError("invalid", "Invalid parameters: file is missing")
    else:
        content = await _content_at(world, body["image_url"])
    fields = serialize_generated(call, await _keep(world, call, content))
    return {"image_id": fields.pop("id"), **fields}


async def upload_for_editing(world: World, call: ApiCall, body: dict[str, Any]) -> dict[str, Any]:
    """Keep a picture, which is then the last. Raises ProviderError: invalid, too_large, quota_exceeded."""
    row = await _keep(world, call, await _content_at(world, body["image_url"]))
    return {"image_id": row["id"]}


async def _keep(world: World, call: ApiCall, content: bytes) -> Row:
    if len(content) > LARGEST:
        raise ProviderError("too_large")
    try:
        kind, width, height = await inspect(content)
    except NotAPicture as error:
        raise ProviderError("invalid", f"Invalid parameters: {error}") from None
    since = ledger.claim(world)
    ledger.add(world, since, size=len(content))
    empty: Row = dict.fromkeys(
        ("parent_id", "negative_prompt", "system_instruction", "style_preset_id", "character_id", "model_id", "seed")
        + ("aspect_ratio", "recipe")
    )
    measured = {"width": width, "height": height, "format": kind, "size_bytes": len(content), "kept": True}
    session = sessions.join(world, call, None)
    row = add_image(world, {**empty, **measured, "operation_type": "upload", "prompt": "", "session_id": session})
    keep_bytes(world, row, content)
    return row


async def _content_at(world: World, url: str) -> bytes:
    """The picture that an address stands for. Raises ProviderError: invalid."""
    if url.startswith("data:"):
        return await asyncio.to_thread(_decode_data_url, url)
    found = find_file(world, _file_key(world, url))
    if found is None:
        raise ProviderError(
            "invalid", "Invalid parameters: image_url is neither a data URL nor a picture of this tenant"
        )
    return (await files.read(world, *found)).body


def _decode_data_url(url: str) -> bytes:
    """The bytes of a data URL in base64. Raises ProviderError: invalid."""
    head, _, encoded = url.partition(",")
    try:
        if not head.endswith(";base64"):
            raise ValueError
        return base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise ProviderError("invalid", "Invalid parameters: image_url is not a data URL in base64") from None


def _file_key(world: World, url: str) -> str:
    """The key of a file in an address of ours, of whatever host; nothing where it is none."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return ""
    for place in (f"/r2/{bucket(world)}/", "/images/"):
        if place in path:
            return path.partition(place)[2]
    return ""
