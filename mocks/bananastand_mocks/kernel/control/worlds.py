"""The control plane's routes for worlds: list, create, reset, export, import, settings."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException

from ..errors import StateError
from ..settings import setting_problem
from ..world import World
from . import actions
from .answers import ExportedWorld, WorldInfo, WorldList
from .bodies import NewWorld, Reset
from .context import ControlContext, describe

__all__ = ["add_world_routes"]


def add_world_routes(app: FastAPI, context: ControlContext) -> None:
    """Give the application these routes."""
    worlds = context.worlds

    def save(world: World) -> dict[str, Any]:
        context.save(world)
        return describe(world)

    @app.get("/_stand/worlds", response_model=WorldList)
    async def list_worlds() -> dict[str, Any]:
        """All worlds."""
        return {"worlds": [describe(world) for world in worlds]}

    @app.post("/_stand/worlds", status_code=201, response_model=WorldInfo)
    async def create_world(body: NewWorld | None = None) -> dict[str, Any]:
        """Make a world with credentials of its own."""
        return save(actions.create_world(context, body or NewWorld()))

    @app.get("/_stand/worlds/{name}", response_model=WorldInfo)
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

    @app.post("/_stand/worlds/{name}/reset", response_model=WorldInfo)
    async def reset_world(name: str, body: Reset | None = None) -> dict[str, Any]:
        """Begin anew, with the same credentials and the same seed unless the body names another."""
        world = context.world(name)
        actions.reset(context, world, body or Reset())
        return describe(world)

    @app.get("/_stand/worlds/{name}/export", response_model=ExportedWorld)
    async def export_world(name: str) -> dict[str, Any]:
        """The whole world as JSON with its secrets, without journal and coverage."""
        return context.world(name).dump()

    @app.post("/_stand/worlds/{name}/import", response_model=WorldInfo)
    async def import_world(name: str, state: ExportedWorld) -> dict[str, Any]:
        """Become an exported world."""
        world = context.world(name)
        try:
            worlds.restore(world, state)
        except StateError as error:
            raise HTTPException(422, str(error)) from None
        return save(world)

    @app.patch("/_stand/worlds/{name}/settings", response_model=WorldInfo)
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
