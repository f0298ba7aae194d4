"""What Go Bananas! returns. Sizes in pixels, bytes and megabytes as they are named.

A field is required where the document shows it in every answer. Characters and deletions come below `data` as well, and
lists under other names or bare: the provider's published clients read all of these.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from pydantic import ConfigDict, ValidationInfo, model_validator

from ..fields import Inferred, InferredList, InferredOrNull, Open, is_strict
from ..response import CamelModel, ResponseModel

__all__ = [
    "AspectRatio",
    "BulkDeletion",
    "Character",
    "CharacterList",
    "CharacterPagination",
    "Deleted",
    "Edit",
    "Generated",
    "GeneratedImage",
    "Image",
    "ImageList",
    "ListedImage",
    "ModelId",
    "Operation",
    "Pagination",
    "Profile",
    "Quotas",
    "ReferenceImage",
    "Refused",
    "Session",
    "SessionImage",
    "SessionList",
    "SessionWithImages",
    "Settings",
    "StylePreset",
    "StylePresetList",
    "Tenant",
    "Upload",
    "UploadForEditing",
    "Usage",
    "UsageDay",
    "UsageSummary",
]

AspectRatio = Literal[
    "square", "portrait", "landscape", "1:1", "16:9", "9:16", "4:3", "3:4", "2:3", "3:2", "4:5", "5:4", "21:9"
]
ModelId = Literal[
    "gemini-flash-image",
    "gemini-pro-image",
    "gemini-flash-lite-image",
    "gemini-nano-banana-2.1",
    "openai-gpt-image-2",
    "openai-gpt-image-2.5-flare",
    "openai-gpt-image-2.5-sunburst",
]
Format = Literal["png", "jpeg", "webp"]
Operation = Literal["generate", "edit", "upload"]


class Quotas(ResponseModel):
    """Storage of the month, in megabytes."""

    monthly_mb: float
    used_mb: float
    remaining_mb: float


class Settings(CamelModel):
    """A tenant's defaults and limits."""

    default_aspect_ratio: Open[AspectRatio]
    max_images_per_generation: int


class Tenant(CamelModel):
    """Whose key it is, and what is left of the month."""

    tenant_id: str
    tenant_name: str
    quotas: Quotas
    settings: Settings
    allowed_models: list[Open[ModelId]] = []


class Profile(ResponseModel):
    """The account of a key."""

    tenant: Tenant


class GeneratedImage(ResponseModel):
    """An image as it comes from generating; `url` needs no key."""

    id: int
    url: str
    thumbnail_url: Inferred[str] = None
    width: int
    height: int
    format: Inferred[Open[Format]] = None
    size_bytes: Inferred[int] = None


class Generated(ResponseModel):
    """Created images and their session."""

    images: list[GeneratedImage]
    session_id: str


class ListedImage(ResponseModel):
    """An image as lists show it."""

    id: int
    url: str
    thumbnail_url: str
    prompt: str
    created_at: str
    operation_type: Open[Operation]


class SessionImage(ResponseModel):
    """An image of a session, of which no document shows one."""

    id: Inferred[int] = None
    url: Inferred[str] = None
    thumbnail_url: Inferred[str] = None
    prompt: Inferred[str] = None
    created_at: Inferred[str] = None
    operation_type: Inferred[Open[Operation]] = None


class Edit(ResponseModel):
    """One step on the way to an image."""

    id: Inferred[int] = None
    prompt: Inferred[str] = None
    created_at: Inferred[str] = None
    operation_type: Inferred[Open[Operation]] = None


class Image(SessionImage):
    """An image with everything it was made from."""

    model_config = ConfigDict(protected_namespaces=())

    width: Inferred[int] = None
    height: Inferred[int] = None
    format: Inferred[Open[Format]] = None
    size_bytes: Inferred[int] = None
    aspect_ratio: InferredOrNull[Open[AspectRatio]] = None
    model_id: InferredOrNull[Open[ModelId]] = None
    session_id: Inferred[str] = None
    r2_key: Inferred[str] = None
    negative_prompt: InferredOrNull[str] = None
    system_instruction: InferredOrNull[str] = None
    style_preset_id: InferredOrNull[int] = None
    character_id: InferredOrNull[int] = None
    seed: InferredOrNull[int] = None
    parent_id: InferredOrNull[int] = None
    edit_history: InferredList[Edit] = []


class Pagination(ResponseModel):
    """Which part of a list a page is."""

    total: int
    limit: int
    offset: int
    has_more: bool


class ImageList(ResponseModel):
    """A page of images, newest first."""

    images: list[ListedImage]
    pagination: Pagination


class Refused(ResponseModel):
    """An image that was not deleted, and why."""

    id: int
    reason: str


class BulkDeletion(ResponseModel):
    """What was deleted, and what was not with the reason why."""

    deleted: list[int]
    failed: list[Refused]


class UploadForEditing(ResponseModel):
    """The id of a picture uploaded to be edited."""

    image_id: int


class Upload(UploadForEditing):
    """An uploaded picture."""

    url: Inferred[str] = None
    thumbnail_url: Inferred[str] = None
    width: Inferred[int] = None
    height: Inferred[int] = None
    format: Inferred[Open[Format]] = None
    size_bytes: Inferred[int] = None


class Session(ResponseModel):
    """A session: images that were made one after another."""

    session_id: str
    total_images: int
    total_edits: int
    last_activity_at: str


class SessionWithImages(ResponseModel):
    """A session with its images, oldest first."""

    session_id: Inferred[str] = None
    total_images: Inferred[int] = None
    total_edits: Inferred[int] = None
    last_activity_at: Inferred[str] = None
    images: InferredList[SessionImage] = []


class SessionList(ResponseModel):
    """All sessions, the most recent first."""

    sessions: list[Session]


class UsageSummary(ResponseModel):
    """The sum of a period."""

    total_images: int
    total_edits: int
    total_size_mb: float
    period_start: str
    period_end: str


class UsageDay(ResponseModel):
    """What was made on one day."""

    date: str
    images: int
    edits: int
    size_mb: float


class Usage(ResponseModel):
    """The sum of the period, and the days on which something was made."""

    summary: UsageSummary
    daily: list[UsageDay]


class _Unwrapped(ResponseModel):
    """An object that may come below `data`."""

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any, info: ValidationInfo) -> Any:
        inner = cast("dict[str, Any]", value).get("data") if isinstance(value, dict) else None
        return inner if isinstance(inner, dict) and not is_strict(info) else value  # type: ignore[reportUnknownVariableType]


class ReferenceImage(ResponseModel):
    """An image that shows a character."""

    id: Inferred[int] = None
    url: Inferred[str] = None
    thumbnail_url: Inferred[str] = None


class Character(_Unwrapped):
    """A character that images can show."""

    id: Inferred[int] = None
    character_name: Inferred[str] = None
    base_prompt: Inferred[str] = None
    created_at: Inferred[str] = None
    reference_images: InferredList[ReferenceImage | str] = []
    description: str | None = None
    negative_prompt: str | None = None
    system_instruction: str | None = None
    preferred_aspect_ratio: Open[AspectRatio] | None = None
    reference_image_ids: list[int] = []
    tags: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _take_id(cls, value: Any, info: ValidationInfo) -> Any:
        """Read `character_id`, as an answer to a creation may have it, as the id."""
        if isinstance(value, dict) and "character_id" in value and not is_strict(info):
            return {"id": value["character_id"], **cast("dict[str, Any]", value)}
        return cast("Any", value)


class CharacterPagination(ResponseModel):
    """Which part of the characters a page is. An answer may have `hasMore` in place of `has_more`."""

    total: Inferred[int] = None
    limit: Inferred[int] = None
    offset: Inferred[int] = None
    has_more: Inferred[bool] = None
    hasMore: Inferred[bool] = None


class CharacterList(ResponseModel):
    """A page. `characters` has the characters, by whichever of its names the answer calls them."""

    characters: InferredList[Character] = []
    data: InferredList[Character] = []
    pagination: Inferred[CharacterPagination] = None

    @model_validator(mode="before")
    @classmethod
    def _name(cls, value: Any, info: ValidationInfo) -> Any:
        return value if is_strict(info) else _named(value, "characters")


class StylePreset(_Unwrapped):
    """A named style for images."""

    id: Inferred[int] = None
    name: Inferred[str] = None
    prompt: str | None = None
    created_at: Inferred[str] = None
    system_instruction: str | None = None
    negative_prompt: str | None = None
    aspect_ratio: Open[AspectRatio] | None = None


class StylePresetList(ResponseModel):
    """All style presets, oldest first."""

    presets: InferredList[StylePreset] = []

    @model_validator(mode="before")
    @classmethod
    def _name(cls, value: Any, info: ValidationInfo) -> Any:
        return value if is_strict(info) else _named(value, "presets")


class Deleted(_Unwrapped):
    """What was deleted; an answer without a body says so too."""

    deleted: Inferred[bool] = None
    id: Inferred[int] = None

    @model_validator(mode="before")
    @classmethod
    def _of_nothing(cls, value: Any) -> Any:
        return {"deleted": True} if value is None else value


def _named(value: Any, name: str) -> Any:
    """Return a page whose items are under this name, from one that has them in `data`, or from a bare list."""
    if isinstance(value, list):
        return {name: cast("Any", value)}
    if isinstance(value, dict) and name not in value and "data" in value:
        return {**cast("dict[str, Any]", value), name: value["data"]}
    return value
