"""Files: uploads as fal's clients make them, and the pictures of results.

An upload is either announced at rest.fal.ai and put to the address that comes back, or sent to the CDN in one request.
A large file goes either way in parts, which are put together in the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from datetime import timedelta
from typing import Any

from bananastand.contracts.errors import Problem, ProviderError, Violation
from bananastand.contracts.response import ApiResponse

from ..drawing.pictures import Recipe
from ..kernel.call import ApiCall
from ..kernel.world import World
from .addresses import media_base
from .pictures import MEDIA_TYPES, draw
from .state import Row, join_parts, requests, store_part, store_upload, uploads

__all__ = [
    "complete_multipart_upload",
    "create_multipart_upload",
    "create_upload_token",
    "get_media",
    "initiate_multipart_upload",
    "initiate_upload",
    "put_media",
    "put_part",
    "upload_file",
]

PICTURE = re.compile(r"b/([0-9a-f-]{36})_(\d)\.(\w+)")
UNSAFE = re.compile(r"[^\w.-]+")
VALID = timedelta(hours=1)  # of an upload token
LONGEST_NAME = 100
BINARY = "application/octet-stream"


def initiate_upload(world: World, body: dict[str, Any], call: ApiCall) -> dict[str, Any]:
    """Announce an upload; return where to put it and where it can then be read."""
    url = f"{media_base(call)}/files/{_new_upload(world, body['file_name'], body['content_type'])}"
    return {"upload_url": url, "file_url": url}


def put_media(world: World, parameters: dict[str, Any], call: ApiCall) -> ApiResponse:
    """Receive the bytes of an announced upload. Raises ProviderError: file_not_found."""
    if parameters["path"] not in uploads(world):
        raise ProviderError("file_not_found")
    store_upload(world, parameters["path"], call.raw)
    return ApiResponse(None, 200)


def create_upload_token(world: World, call: ApiCall) -> dict[str, Any]:
    """Return a token for uploads to the CDN; it is the key itself."""
    return {
        "token": call.credential,
        "token_type": "Bearer",
        "base_url": media_base(call),
        "expires_at": (world.clock.moment() + VALID).isoformat(),
    }


def upload_file(world: World, parameters: dict[str, Any], call: ApiCall) -> dict[str, Any]:
    """Receive a file; return where it can be read."""
    kind = call.headers.get("content-type", BINARY)
    path = _new_upload(world, parameters.get("x-fal-file-name", "upload.bin"), kind)
    store_upload(world, path, call.raw)
    return {"access_url": f"{media_base(call)}/files/{path}"}


def initiate_multipart_upload(world: World, body: dict[str, Any], call: ApiCall) -> dict[str, Any]:
    """Announce an upload in parts; return what the addresses of the parts begin with, and the file's address."""
    path, upload_id = _new_multipart(world, body["file_name"], body["content_type"])
    url = f"{media_base(call)}/files/{path}"
    return {"upload_url": f"{url}/multipart/{upload_id}", "file_url": url}


def create_multipart_upload(world: World, parameters: dict[str, Any], call: ApiCall) -> dict[str, Any]:
    """Begin an upload in parts at the CDN; return the file's address and the upload's id."""
    kind = call.headers.get("content-type", BINARY)
    path, upload_id = _new_multipart(world, parameters.get("x-fal-file-name", "upload.bin"), kind)
    return {"access_url": f"{media_base(call)}/files/{path}", "uploadId": upload_id}


def put_part(world: World, parameters: dict[str, Any], call: ApiCall) -> ApiResponse:
    """Receive a part. Raises ProviderError: file_not_found, too_large."""
    number = parameters["part_number"]
    _find_multipart(world, parameters)
    store_part(world, parameters["path"], number, call.raw)
    etag = _etag(call.raw)
    return ApiResponse({"partNumber": number, "etag": etag}, 200, {"etag": etag})


def complete_multipart_upload(world: World, parameters: dict[str, Any], body: dict[str, Any]) -> ApiResponse:
    """Put the parts together in the order of their numbers. Raises ProviderError: file_not_found, violation."""
    path = parameters["path"]
    upload = _find_multipart(world, parameters)
    for place, part in enumerate(body["parts"]):
        number = part["partNumber"]
        stored = world.blobs.get(f"falqueue/{path}/{number}") if str(number) in upload["parts"] else None
        if stored is None or _etag(stored) != part["etag"]:
            raise _part_error(place, f"part {number} was not received with this etag")
    join_parts(world, path, sorted({part["partNumber"] for part in body["parts"]}))
    return ApiResponse(None, 200)


async def get_media(world: World, parameters: dict[str, Any]) -> ApiResponse:
    """Return an upload, or a picture of a result. Raises ProviderError: file_not_found."""
    path = parameters["path"]
    if (match := PICTURE.fullmatch(path)) is not None:
        pictures = requests(world).get(match[1], {}).get("pictures", [])
        number = int(match[2])
        if number < len(pictures) and pictures[number]["format"] == match[3]:
            recipe = Recipe(**pictures[number]["recipe"])
            content = await asyncio.to_thread(draw, recipe, match[3])
            return ApiResponse(content, 200, {}, MEDIA_TYPES[match[3]])
    upload = uploads(world).get(path)
    if upload is None or not upload["received"]:
        raise ProviderError("file_not_found")
    return ApiResponse(world.blobs[f"falqueue/{path}"], 200, {}, upload["content_type"])


def _new_upload(world: World, file_name: str, content_type: str) -> str:
    """Announce an upload; return its path."""
    name = UNSAFE.sub("_", file_name.rpartition("/")[2])[-LONGEST_NAME:]
    path = f"u/{world.ids.letters(21)}_{name}"
    kind = content_type if content_type.isascii() and content_type.isprintable() and content_type else BINARY
    uploads(world)[path] = {"content_type": kind, "received": False}
    return path


def _new_multipart(world: World, file_name: str, content_type: str) -> tuple[str, str]:
    """Announce an upload in parts; return its path and its id."""
    path, upload_id = _new_upload(world, file_name, content_type), world.ids.letters(32)
    uploads(world)[path] |= {"upload_id": upload_id, "parts": {}}
    return path, upload_id


def _find_multipart(world: World, parameters: dict[str, Any]) -> Row:
    upload = uploads(world).get(parameters["path"])
    if upload is None or upload.get("upload_id") != parameters["upload_id"]:
        raise ProviderError("file_not_found")
    return upload


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _part_error(place: int, message: str) -> ProviderError:
    error = ProviderError("violation", message)
    error.problem = Problem("violation", message, (Violation("body", f"parts.{place}.etag", "etag", message),))
    return error
