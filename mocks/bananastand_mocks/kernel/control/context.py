"""What the routes of the control plane share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException

from ..journal_entry import JournalEntry
from ..mismatches import Mismatch
from ..provider import Provider
from ..stub import Stub
from ..stub_checks import contract_differences
from ..world import World
from ..worlds import Worlds

__all__ = ["ControlContext", "describe", "describe_near_misses", "describe_stub"]


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

    def stub(self, name: str, id: int) -> Stub:
        """Return the stub with this number in the world of that name. Raises HTTPException 404."""
        stub = self.world(name).stubs.named(id)
        if stub is None:
            raise HTTPException(404, f"the world {name} has no stub {id}")
        return stub

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
        "clock": {
            "virtual": world.clock.virtual,
            "speed": world.clock.speed,
            "step": world.clock.step,
            "now": world.clock.now(),
        },
        "settings": world.settings,
        "calls": len(world.journal),
        "breaches": world.breaches,
        "prefix": f"/w/{world.name}",
    }


def describe_stub(stub: Stub, providers: Sequence[Provider]) -> dict[str, Any]:
    """Return what the control plane answers about a stub."""
    return {
        **stub.dump(),
        "calls": [entry.number for entry in stub.calls],
        "contract_differences": contract_differences(stub, providers),
        "near_misses": [] if stub.called else describe_near_misses(stub.near_misses()),
    }


def describe_near_misses(near_misses: Sequence[tuple[JournalEntry, list[Mismatch]]]) -> list[dict[str, Any]]:
    """Return calls that nearly fit, and where they differ, as JSON."""
    return [
        {"call": entry.dump(), "differences": [mismatch._asdict() for mismatch in mismatches]}
        for entry, mismatches in near_misses
    ]
