"""What Go Bananas! returns, as its contract says. Sizes in pixels, bytes and megabytes as they are named."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

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
ModelId = Literal["gemini-flash-image", "gemini-pro-image", "gemini-flash-lite-image"]
Operation = Literal["generate", "edit", "upload"]


class Quotas(ResponseModel):
    """Storage of the month, in megabytes."""

    monthly_mb: float
    used_mb: float
    remaining_mb: float


class Settings(CamelModel):
    """A tenant's defaults and limits."""

    default_aspect_ratio: str
    max_images_per_generation: int


class Tenant(CamelModel):
    """Whose key it is, and what is left of the month."""

    tenant_id: str
    tenant_name: str
    quotas: Quotas
    settings: Settings
    allowed_models: list[str] = []


class Profile(ResponseModel):
    """The account of a key."""

    tenant: Tenant


class GeneratedImage(ResponseModel):
    """An image as it comes from generating; `url` needs no key."""

    id: int
    url: str
    thumbnail_url: str
    width: int
    height: int
    format: str
    size_bytes: int


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
    operation_type: Operation


class Edit(ResponseModel):
    """One step on the way to an image."""

    id: int
    prompt: str
    created_at: str
    operation_type: Operation


class Image(ListedImage):
    """An image with everything it was made from."""

    model_config = ConfigDict(protected_namespaces=())

    width: int
    height: int
    format: str
    size_bytes: int
    aspect_ratio: str | None
    model_id: str | None
    session_id: str
    r2_key: str
    negative_prompt: str | None
    system_instruction: str | None
    style_preset_id: int | None
    character_id: int | None
    seed: int | None
    parent_id: int | None
    edit_history: list[Edit]


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


class Upload(ResponseModel):
    """An uploaded picture."""

    image_id: int
    url: str
    thumbnail_url: str
    width: int
    height: int
    format: str
    size_bytes: int


class UploadForEditing(ResponseModel):
    """The id of a picture uploaded to be edited."""

    image_id: int


class Session(ResponseModel):
    """A session: images that were made one after another."""

    session_id: str
    total_images: int
    total_edits: int
    last_activity_at: str


class SessionWithImages(Session):
    """A session with its images, oldest first."""

    images: list[ListedImage]


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


class ReferenceImage(ResponseModel):
    """An image that shows a character."""

    id: int
    url: str
    thumbnail_url: str


class Character(ResponseModel):
    """A character that images can show."""

    id: int
    character_name: str
    base_prompt: str
    created_at: str
    reference_images: list[ReferenceImage]
    description: str | None = None
    negative_prompt: str | None = None
    system_instruction: str | None = None
    preferred_aspect_ratio: str | None = None
    reference_image_ids: list[int] = []
    tags: list[str] = []


class CharacterPagination(Pagination):
    """Which part of the characters a page is."""

    hasMore: bool


class CharacterList(ResponseModel):
    """A page, under both names that clients read."""

    characters: list[Character]
    data: list[Character]
    pagination: CharacterPagination


class StylePreset(ResponseModel):
    """A named style for images."""

    id: int
    name: str
    prompt: str
    created_at: str
    system_instruction: str | None = None
    negative_prompt: str | None = None
    aspect_ratio: str | None = None


class StylePresetList(ResponseModel):
    """All style presets, oldest first."""

    presets: list[StylePreset]


class Deleted(ResponseModel):
    """What was deleted."""

    deleted: bool
    id: int
