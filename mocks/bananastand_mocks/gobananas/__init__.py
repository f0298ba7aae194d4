"""Go Bananas!: image generation with a gallery, sessions, quotas, characters and style presets."""

from __future__ import annotations

from .provider import GoBananasProvider

__all__ = ["GoBananasProvider"]
