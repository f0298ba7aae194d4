"""The calls of Go Bananas!: one function for each operation, the lists that come in pages, and saving a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

from ..call import Book, Call, Flow, Session, given, media
from .answers import (
    AspectRatio,
    BulkDeletion,
    Character,
    CharacterList,
    Deleted,
    Generated,
    GeneratedImage,
    Image,
    ImageList,
    ListedImage,
    ModelId,
    Profile,
    SessionList,
    SessionWithImages,
    StylePreset,
    StylePresetList,
    Upload,
    UploadForEditing,
    Usage,
)

__all__ = [
    "continue_image",
    "create_character",
    "create_image",
    "create_style_preset",
    "delete_character",
    "delete_image",
    "delete_images",
    "delete_style_preset",
    "each_character",
    "each_image",
    "get_character",
    "get_file",
    "get_image",
    "get_profile",
    "get_session",
    "get_usage",
    "list_characters",
    "list_images",
    "list_sessions",
    "list_style_presets",
    "save",
    "update_character",
    "upload_for_editing",
    "upload_image",
]

PAINTING = 180.0  # seconds; images are made while the call waits


def get_profile() -> Call[Profile]:
    """Whose key it is, its settings, and what is left of the month's storage."""
    return Call(Profile, "GET", "/api/profile")


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
) -> Call[Generated]:
    """Make up to four images of a prompt. A preset goes by id or by name; the id wins."""
    body = given(
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
    return Call(Generated, "POST", "/api/images", json=body, timeout=PAINTING)


def list_images(*, limit: int | None = None, offset: int | None = None, search: str | None = None) -> Call[ImageList]:
    """A page of images, newest first, at most 200; `search` is looked for in prompts."""
    return Call(ImageList, "GET", "/api/images", given(limit=limit, offset=offset, search=search))


def get_image(id: int) -> Call[Image]:
    """One image's metadata, with the edits that led to it."""
    return Call(Image, "GET", f"/api/images/{id}")


def delete_image(id: int) -> Call[None]:
    """Delete one image."""
    return Call(None, "DELETE", f"/api/images/{id}", idempotent=True)


def delete_images(ids: Sequence[int]) -> Call[BulkDeletion]:
    """Delete up to 20 images. Unknown ids come back in `failed`, they do not raise."""
    return Call(BulkDeletion, "POST", "/api/images/delete-bulk", json={"ids": list(ids)})


def continue_image(prompt: str, *, image_id: int | None = None, session_id: str | None = None) -> Call[Generated]:
    """Edit the last image, or the one that is named."""
    body = given(prompt=prompt, image_id=image_id, session_id=session_id)
    return Call(Generated, "POST", "/api/images/continue", json=body, timeout=PAINTING)


def upload_image(
    file: bytes | None = None, *, file_name: str = "image.png", image_url: str | None = None
) -> Call[Upload]:
    """Add a picture of one's own: PNG, JPEG or WebP of at most 20 MB, or the address of one."""
    if (file is None) == (image_url is None):
        raise ValueError("give a file or an image_url")
    if file is None:
        return Call(Upload, "POST", "/api/images/upload", json={"image_url": image_url})
    boundary = uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quote(file_name)}"\r\n'
    content = f"{head}Content-Type: {_kind(file)}\r\n\r\n".encode() + file + f"\r\n--{boundary}--\r\n".encode()
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    return Call(Upload, "POST", "/api/images/upload", content=content, headers=headers)


def upload_for_editing(image_url: str) -> Call[UploadForEditing]:
    """Add a picture that is to be continued."""
    return Call(UploadForEditing, "POST", "/api/upload-for-editing", json={"image_url": image_url})


def list_sessions() -> Call[SessionList]:
    """All sessions, the most recent first."""
    return Call(SessionList, "GET", "/api/sessions")


def get_session(id: str) -> Call[SessionWithImages]:
    """One session, its images in the order in which they were made."""
    return Call(SessionWithImages, "GET", f"/api/sessions/{quote(id, safe='')}")


def get_usage(*, days: int | None = None, start: str | None = None, end: str | None = None) -> Call[Usage]:
    """What was made in the last `days` (1 to 90), or from `start` to `end`, both included (YYYY-MM-DD)."""
    return Call(Usage, "GET", "/api/usage", given(days=days, start=start, end=end))


def list_characters(
    *, limit: int | None = None, offset: int | None = None, search: str | None = None, exact: bool | None = None
) -> Call[CharacterList]:
    """A page of characters, at most 100; with `exact`, `search` is the whole name."""
    query = given(limit=limit, offset=offset, search=search, exact=exact)
    return Call(CharacterList, "GET", "/api/characters", query)


def create_character(
    character_name: str,
    base_prompt: str,
    *,
    description: str | None = None,
    negative_prompt: str | None = None,
    system_instruction: str | None = None,
    preferred_aspect_ratio: AspectRatio | None = None,
    reference_image_ids: Sequence[int] | None = None,
    tags: Sequence[str] | None = None,
) -> Call[Character]:
    """Create a character that images can be made of."""
    body = given(
        character_name=character_name,
        base_prompt=base_prompt,
        description=description,
        negative_prompt=negative_prompt,
        system_instruction=system_instruction,
        preferred_aspect_ratio=preferred_aspect_ratio,
        reference_image_ids=reference_image_ids,
        tags=tags,
    )
    return Call(Character, "POST", "/api/characters", json=body)


def get_character(id: int) -> Call[Character]:
    """One character with its reference images."""
    return Call(Character, "GET", f"/api/characters/{id}")


def update_character(
    id: int,
    *,
    character_name: str | None = None,
    base_prompt: str | None = None,
    description: str | None = None,
    negative_prompt: str | None = None,
    system_instruction: str | None = None,
    preferred_aspect_ratio: AspectRatio | None = None,
    reference_image_ids: Sequence[int] | None = None,
    tags: Sequence[str] | None = None,
) -> Call[Character]:
    """Change what is given of a character."""
    body = given(
        character_name=character_name,
        base_prompt=base_prompt,
        description=description,
        negative_prompt=negative_prompt,
        system_instruction=system_instruction,
        preferred_aspect_ratio=preferred_aspect_ratio,
        reference_image_ids=reference_image_ids,
        tags=tags,
    )
    return Call(Character, "PATCH", f"/api/characters/{id}", json=body)


def delete_character(id: int) -> Call[Deleted]:
    """Delete a character."""
    return Call(Deleted, "DELETE", f"/api/characters/{id}", idempotent=True)


def list_style_presets() -> Call[StylePresetList]:
    """All presets, oldest first."""
    return Call(StylePresetList, "GET", "/api/style-presets")


def create_style_preset(
    name: str,
    prompt: str,
    *,
    system_instruction: str | None = None,
    negative_prompt: str | None = None,
    aspect_ratio: AspectRatio | None = None,
) -> Call[StylePreset]:
    """Create a preset, which images are then made with by its id or name."""
    body = given(
        name=name,
        prompt=prompt,
        system_instruction=system_instruction,
        negative_prompt=negative_prompt,
        aspect_ratio=aspect_ratio,
    )
    return Call(StylePreset, "POST", "/api/style-presets", json=body)


def delete_style_preset(id: int) -> Call[Deleted]:
    """Delete a preset."""
    return Call(Deleted, "DELETE", f"/api/style-presets/{id}", idempotent=True)


def get_file(r2_key: str, *, download: bool | None = None) -> Call[bytes]:
    """A picture's file by its r2_key, with the key of its tenant."""
    return Call(bytes, "GET", f"/images/{quote(r2_key)}", given(download=download), read=media("image/"))


def each_image(*, search: str | None = None, limit: int | None = None) -> Book[ListedImage]:
    """All images, newest first, `limit` to a page."""
    return Book(list_images(search=search, limit=limit), lambda page: page.images, _following)


def each_character(*, search: str | None = None, limit: int | None = None) -> Book[Character]:
    """All characters, `limit` to a page."""
    return Book(list_characters(search=search, limit=limit), lambda page: page.characters, _following)


def save(session: Session, image: GeneratedImage | ListedImage | Upload, path: str | Path) -> Flow[Path]:
    """Fetch a picture from its `url`, which needs no key, and write it to a file."""
    call: Call[bytes] = Call(bytes, "GET", image.url, read=media("image/", "application/octet-stream"), unsigned=True)
    content = yield from session.send(call)
    (target := Path(path)).write_bytes(content)
    return target


def _following(call: Call[Any], page: Any) -> Call[Any] | None:
    offset = page.pagination.offset + page.pagination.limit
    further = page.pagination.has_more and offset > cast("int", call.query.get("offset", 0))
    return replace(call, query={**call.query, "offset": offset}) if further else None


def _kind(file: bytes) -> str:
    if file[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    return "image/webp" if file[8:12] == b"WEBP" else "image/png"
