"""Style presets of Go Bananas!."""

from __future__ import annotations

from ...request import ClientRequest, without_none
from ..models import (
    AspectRatio,
    Deleted,
    StylePreset,
    StylePresetList,
)

__all__ = ["create_style_preset", "delete_style_preset", "list_style_presets"]


def list_style_presets() -> ClientRequest[StylePresetList]:
    """Return all style presets, oldest first.

    Source: B:292-298.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(StylePresetList, "GET", "/api/style-presets")


def create_style_preset(
    name: str,
    prompt: str | None = None,
    *,
    system_instruction: str | None = None,
    negative_prompt: str | None = None,
    aspect_ratio: AspectRatio | None = None,
) -> ClientRequest[StylePreset]:
    """Create a style preset, which images then name by id or name.

    Source: B:300-312.

    Args:
        name: 1 to 128 characters.
        prompt: 1 to 4096 characters.
        system_instruction: At most 1024 characters.
        negative_prompt: At most 4096 characters.
        aspect_ratio: Width to height; square is 1:1, portrait 9:16, landscape 16:9.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(
        name=name,
        prompt=prompt,
        system_instruction=system_instruction,
        negative_prompt=negative_prompt,
        aspect_ratio=aspect_ratio,
    )
    return ClientRequest(StylePreset, "POST", "/api/style-presets", json=body)


def delete_style_preset(id: int) -> ClientRequest[Deleted]:
    """Delete a style preset.

    Source: B:314-320.

    Args:
        id: Id of a preset.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        NotFoundError: 404: there is no preset of that name or id.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(Deleted, "DELETE", f"/api/style-presets/{id}", idempotent=True)
