"""Account (A:104-116). Knows nothing of models."""

from __future__ import annotations

from typing import Any

from ..kernel.world import World
from . import state

__all__ = ["get_account"]


def get_account(world: World) -> dict[str, Any]:
    """The account behind the token, and how many keys it has (A:105-116)."""
    return {**state.account(world), "apiKeys": len(world.credentials.get("banana", []))}
