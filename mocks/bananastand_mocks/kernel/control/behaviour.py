"""The control plane's routes for a world's behaviour: clock, tasks, faults, rate limits."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, HTTPException

from ..faults import Fault
from ..world import World
from .bodies import Advance, NewFault, NewLimit, NewTasks
from .context import ControlContext

__all__ = ["add_behaviour_routes"]


def add_behaviour_routes(app: FastAPI, context: ControlContext) -> None:
    """Give the application these routes."""
    _add_clock_and_tasks(app, context)
    _add_faults(app, context)
    _add_limits(app, context)


def _add_clock_and_tasks(app: FastAPI, context: ControlContext) -> None:
    @app.post("/_stand/worlds/{name}/clock")
    async def advance_clock(name: str, body: Advance) -> dict[str, Any]:
        """Move the clock forward and run what falls due."""
        world = context.world(name)
        try:
            ran = await asyncio.to_thread(world.clock.advance, body.advance)  # what falls due may block
        except ValueError as error:
            raise HTTPException(422, f"advance: {error}") from None
        context.save(world)
        return {"ran": ran, **world.clock.dump()}

    @app.put("/_stand/worlds/{name}/tasks")
    async def set_tasks(name: str, body: NewTasks) -> dict[str, Any]:
        """Set how long work takes from now on."""
        world = context.world(name)
        world.tasks.load(body.model_dump())
        context.save(world)
        return world.tasks.dump()


def _add_faults(app: FastAPI, context: ControlContext) -> None:
    operations = {"*"}.union(*(provider.contract.by_id for provider in context.providers))

    @app.get("/_stand/worlds/{name}/faults")
    async def list_faults(name: str) -> dict[str, Any]:
        """The faults that are set, with how many calls they have seen and struck."""
        return {"faults": context.world(name).faults.dump()}

    @app.post("/_stand/worlds/{name}/faults", status_code=201)
    async def add_fault(name: str, body: NewFault) -> dict[str, Any]:
        """Set a fault."""
        world = context.world(name)
        if body.operation not in operations:
            raise HTTPException(422, f"operation: no provider here has {body.operation}")
        try:
            world.faults.add(Fault(**body.model_dump()))
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        context.save(world)
        return {"faults": world.faults.dump()}

    @app.delete("/_stand/worlds/{name}/faults", status_code=204)
    async def clear_faults(name: str) -> None:
        """Remove all faults."""
        world = context.world(name)
        world.faults.clear()
        context.save(world)


def _add_limits(app: FastAPI, context: ControlContext) -> None:
    names = [provider.name for provider in context.providers]

    def world_with(name: str, provider: str) -> World:
        if provider not in names:
            raise HTTPException(404, f"there is no provider {provider}")
        return context.world(name)

    @app.get("/_stand/worlds/{name}/limits")
    async def list_limits(name: str) -> dict[str, Any]:
        """Rate limits and their running windows."""
        return context.world(name).limits.dump()

    @app.put("/_stand/worlds/{name}/limits/{provider}")
    async def set_limit(name: str, provider: str, body: NewLimit) -> dict[str, Any]:
        """Limit the calls to a provider."""
        world = world_with(name, provider)
        world.limits.set(provider, body.calls, body.seconds)
        context.save(world)
        return world.limits.dump()

    @app.delete("/_stand/worlds/{name}/limits/{provider}", status_code=204)
    async def remove_limit(name: str, provider: str) -> None:
        """Remove a provider's limit."""
        world = world_with(name, provider)
        world.limits.unset(provider)
        context.save(world)
