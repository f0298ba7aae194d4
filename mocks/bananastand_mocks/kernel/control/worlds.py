"""The control plane's routes for worlds: list, create, reset, export, import, settings."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException

from ..errors import StateError
from ..settings import setting_problem
from ..world import World
from .bodies import NewWorld, Reset
from .context import ControlContext, describe

__all__ = ["add_world_routes"]


def add_world_routes(app: FastAPI, context: ControlContext) -> None:
    """Give the application these routes."""
    worlds = context.worlds

    def save(world: World) -> dict[str, Any]:
        context.save(world)
        return describe(world)

    @app.get("/_stand/worlds")
    async def list_worlds() -> dict[str, Any]:
        """All worlds."""
        return {"worlds": [describe(world) for world in worlds]}

    @app.post("/_stand/worlds", status_code=201)
    async def create_world(body: NewWorld) -> dict[str, Any]:
        """Make a world with credentials of its own."""
        try:
            world = worlds.create(
                body.name, kind=body.kind, seed=body.seed, virtual=body.time == "virtual", speed=body.speed
            )
        except ValueError as error:
            raise HTTPException(409, str(error)) from None
        world.auto_advance = body.auto_advance
        return save(world)

    @app.get("/_stand/worlds/{name}")
    async def get_world(name: str) -> dict[str, Any]:
        """One world: its credentials, clock, settings and breaches of contract."""
        return describe(context.world(name))

    @app.delete("/_stand/worlds/{name}", status_code=204)
    async def delete_world(name: str) -> None:
        """End a world."""
        try:
            worlds.remove(context.world(name))
        except ValueError as error:
            raise HTTPException(409, str(error)) from None

    @app.post("/_stand/worlds/{name}/reset")
    async def reset_world(name: str, body: Reset) -> dict[str, Any]:
        """Begin anew, with the same credentials and the same seed unless another is given."""
        world = context.world(name)
        worlds.reset(world, kind=body.kind, seed=body.seed)
        return save(world)

    @app.get("/_stand/worlds/{name}/export")
    async def export_world(name: str) -> dict[str, Any]:
        """The whole world as JSON with its secrets, without journal and coverage."""
        return context.world(name).dump()

    @app.post("/_stand/worlds/{name}/import")
    async def import_world(name: str, state: dict[str, Any]) -> dict[str, Any]:
        """Become an exported world."""
        world = context.world(name)
        try:
            worlds.restore(world, state)
        except StateError as error:
            raise HTTPException(422, str(error)) from None
        return save(world)

    @app.patch("/_stand/worlds/{name}/settings")
    async def change_settings(name: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Change existing settings."""
        world = context.world(name)
        unknown = sorted(settings.keys() - world.settings.keys())
        if unknown:
            raise HTTPException(422, f"no setting {', '.join(unknown)}; there are {', '.join(sorted(world.settings))}")
        if problem := setting_problem(world.settings, settings):
            raise HTTPException(422, problem)
        world.settings.update(settings)
        return save(world)
