"""Images of Go Bananas!: create, edit, upload, list, delete and save."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from ...request import ClientRequest, PagedList, without_none
from ...response import media_reader
from ...session import ClientSession, Flow
from ..models import (
    AspectRatio,
    BulkDeletion,
    Generated,
    GeneratedImage,
    Image,
    ImageList,
    ListedImage,
    ModelId,
    SessionImage,
    Upload,
    UploadForEditing,
)
from .paging import next_page

__all__ = [
    "continue_image",
    "create_image",
    "delete_image",
    "delete_images",
    "each_image",
    "get_file",
    "get_image",
    "list_images",
    "save",
    "upload_for_editing",
    "upload_image",
]

PAINTING = 180.0  # seconds; images are made while the call waits


def create_image(
    prompt: str,
    *,
    n: int | None = None,
    aspect_ratio: AspectRatio | None = None,
    negative_prompt: str | None = None,
    system_instruction: str | None = None,
    style_preset_id: int | None = None,
    style_preset_name: str | None = None,
    model_id: ModelId | None = None,
    character_id: int | None = None,
    session_id: str | None = None,
    seed: int | None = None,
) -> ClientRequest[Generated]:
    """Create up to four images of a prompt.

    Source: B:62-104.

    Args:
        prompt: 1 to 8192 characters.
        n: Number of images, 1 to 4; 1 by default.
        aspect_ratio: Width to height; square is 1:1, portrait 9:16, landscape 16:9.
        negative_prompt: What the images must not show, at most 8192 characters.
        system_instruction: Instruction for the model, at most 8192 characters.
        style_preset_id: Id of a preset; wins over `style_preset_name`.
        style_preset_name: Name of a preset.
        model_id: Image model.
        character_id: Id of a character to show.
        session_id: Session to add the images to; a new one by default.
        seed: 0 to 4294967295; equal seeds give equal images on the mock.

    Returns:
        The images and their session.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        PaymentRequiredError: 402: the month's storage is used up.
        NotFoundError: 404: there is no preset, character or session of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(
        prompt=prompt,
        n=n,
        aspect_ratio=aspect_ratio,
        negative_prompt=negative_prompt,
        system_instruction=system_instruction,
        style_preset_id=style_preset_id,
        style_preset_name=style_preset_name,
        model_id=model_id,
        character_id=character_id,
        session_id=session_id,
        seed=seed,
    )
    return ClientRequest(Generated, "POST", "/api/images", json=body, timeout=PAINTING)


def list_images(
    *, limit: int | None = None, offset: int | None = None, search: str | None = None
) -> ClientRequest[ImageList]:
    """Return a page of images, newest first.

    Source: B:110-150.

    Args:
        limit: Entries of a page, from 1; more than 200 count as 200, 50 by default.
        offset: Entries to skip, from 0.
        search: Text to look for in prompts, ignoring case.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(ImageList, "GET", "/api/images", without_none(limit=limit, offset=offset, search=search))


def each_image(*, search: str | None = None, limit: int | None = None) -> PagedList[ListedImage]:
    """Iterate over all images, newest first.

    Source: B:110-150.

    Args:
        search: Text to look for in prompts.
        limit: Entries fetched at once, 1 to 200.

    Yields:
        One image after another; a page is fetched when it is reached.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return PagedList(list_images(search=search, limit=limit), lambda page: page.images, next_page)


def get_image(id: int) -> ClientRequest[Image]:
    """Return one image's metadata, with the edits that led to it.

    Source: B:152-158.

    Args:
        id: Id of an image.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no image of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(Image, "GET", f"/api/images/{id}")


def delete_image(id: int) -> ClientRequest[None]:
    """Delete one image.

    Source: B:160-168.

    Args:
        id: Id of an image.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no image of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(None, "DELETE", f"/api/images/{id}", idempotent=True)


def delete_images(ids: Sequence[int]) -> ClientRequest[BulkDeletion]:
    """Delete several images.

    Source: B:170-186.

    Args:
        ids: 1 to 20 ids; one that comes twice counts once.

    Returns:
        The deleted ids, and the others with the reason: an unknown id raises nothing.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(BulkDeletion, "POST", "/api/images/delete-bulk", json={"ids": list(ids)})


def continue_image(
    prompt: str, *, image_id: int | None = None, session_id: str | None = None
) -> ClientRequest[Generated]:
    """Edit an image by a prompt.

    Source: an older README of the provider's plugin.

    Args:
        prompt: 1 to 8192 characters.
        image_id: Id of the image to edit; the last one by default.
        session_id: Session whose last image is edited.

    Returns:
        The edited image and its session.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        PaymentRequiredError: 402: the month's storage is used up.
        NotFoundError: 404: there is no image or session of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(prompt=prompt, image_id=image_id, session_id=session_id)
    return ClientRequest(Generated, "POST", "/api/images/continue", json=body, timeout=PAINTING)


def upload_image(
    file: bytes | None = None, *, file_name: str = "image.png", image_url: str | None = None
) -> ClientRequest[Upload]:
    """Upload a picture, from bytes or from a URL.

    Source: the provider's plugin (rest-api.md).

    Args:
        file: PNG, JPEG or WebP of at most 20 MB.
        file_name: Name that the upload carries.
        image_url: URL to fetch the picture from, in place of `file`.

    Raises:
        ValueError: Neither or both of `file` and `image_url` were passed.
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        PaymentRequiredError: 402: the month's storage is used up.
        PayloadTooLargeError: 413: the file is larger than 20 MB.
        RateLimitError: 429: too many requests, after the retries.
    """
    if (file is None) == (image_url is None):
        raise ValueError("give a file or an image_url")
    if file is None:
        return ClientRequest(Upload, "POST", "/api/images/upload", json={"image_url": image_url})
    boundary = uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quote(file_name)}"\r\n'
    content = f"{head}Content-Type: {_media_type(file)}\r\n\r\n".encode() + file + f"\r\n--{boundary}--\r\n".encode()
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    return ClientRequest(Upload, "POST", "/api/images/upload", content=content, headers=headers)


def upload_for_editing(image_url: str) -> ClientRequest[UploadForEditing]:
    """Upload a picture that is to be edited.

    Source: a published client.

    Args:
        image_url: URL to fetch the picture from.

    Returns:
        The id to pass to `continue_image`.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        PaymentRequiredError: 402: the month's storage is used up.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(UploadForEditing, "POST", "/api/upload-for-editing", json={"image_url": image_url})


def get_file(r2_key: str, *, download: bool | None = None) -> ClientRequest[bytes]:
    """Return a picture's file by its key in the store.

    Source: B:326-338.

    Args:
        r2_key: `r2_key` of an image.
        download: Have the response name a file to save it as.

    Returns:
        The file's bytes.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        PermissionDeniedError: 403: the file is another tenant's.
        NotFoundError: 404: there is no file of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(
        bytes, "GET", f"/images/{quote(r2_key)}", without_none(download=download), read=media_reader("image/")
    )


def save(
    session: ClientSession, image: GeneratedImage | ListedImage | SessionImage | Upload, path: str | Path
) -> Flow[Path]:
    """Fetch a picture from its `url`, which needs no key, and write it to a file.

    Source: B:94-95.

    Args:
        session: The client's session; a client passes its own.
        image: A created, listed, read or uploaded image.
        path: File to write.

    Returns:
        The path written.

    Raises:
        ValueError: The image has no `url`.
        APIError: The picture could not be fetched.
    """
    if not image.url:
        raise ValueError("the image has no url; read it by get_file and its r2_key")
    call: ClientRequest[bytes] = ClientRequest(
        bytes, "GET", image.url, read=media_reader("image/", "application/octet-stream"), unsigned=True
    )
    content = yield from session.send(call)
    (target := Path(path)).write_bytes(content)
    return target


def _media_type(file: bytes) -> str:
    if file[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    return "image/webp" if file[8:12] == b"WEBP" else "image/png"
