"""What the routes of the control plane share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException

from ..provider import Provider
from ..world import World
from ..worlds import Worlds

__all__ = ["ControlContext", "describe"]


@dataclass(frozen=True, slots=True)
class ControlContext:
    """The providers that are served, and their worlds."""

    providers: Sequence[Provider]
    worlds: Worlds

    def world(self, name: str) -> World:
        """Return the world of that name. Raises HTTPException 404."""
        world = self.worlds.named(name)
        if world is None:
            raise HTTPException(404, f"there is no world {name}")
        return world

    def save(self, world: World) -> None:
        """Write a changed world to the state file, where there is one."""
        if self.worlds.keep is not None:
            self.worlds.keep(world)


def describe(world: World) -> dict[str, Any]:
    """Return what the control plane answers about a world."""
    return {
        "name": world.name,
        "seed": world.seed,
        "credentials": world.credentials,
        "clock": {"virtual": world.clock.virtual, "speed": world.clock.speed, "now": world.clock.now()},
        "settings": world.settings,
        "calls": len(world.journal),
        "breaches": world.breaches,
        "prefix": f"/w/{world.name}",
    }
