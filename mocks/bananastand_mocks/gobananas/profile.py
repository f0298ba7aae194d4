"""The tenant and its quota (B:31-56)."""

from __future__ import annotations

from typing import Any

from ..kernel.world import World
from . import ledger
from .state import MODELS, setting, tenant

__all__ = ["get_profile"]


def get_profile(world: World) -> dict[str, Any]:
    """Who the tenant is, what of its storage this month has used, and what it may do."""
    most, used = setting(world, "gobananas.monthly_mb"), ledger.megabytes(ledger.month(world)["bytes"])
    left = max(0, round(most - used, 2))
    return {
        "tenant": {
            **tenant(world),
            "quotas": {"monthly_mb": most, "used_mb": used, "remaining_mb": left},
            "settings": {
                "defaultAspectRatio": setting(world, "gobananas.default_aspect_ratio"),
                "maxImagesPerGeneration": setting(world, "gobananas.max_images_per_generation"),
            },
            "allowedModels": MODELS,
        }
    }
