"""The control plane's routes for a world's behaviour: clock, tasks, faults, rate limits, stubs."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from ..stub import StubSpec
from . import actions
from .answers import ClockMoved, ClockState, FaultList, Limits, StubInfo, StubList, TaskSettings
from .bodies import Advance, ClockStep, NewFault, NewLimit, NewTasks
from .context import ControlContext, describe_stub

__all__ = ["add_behaviour_routes"]


def add_behaviour_routes(app: FastAPI, context: ControlContext) -> None:
    """Give the application these routes."""
    _add_clock_and_tasks(app, context)
    _add_faults(app, context)
    _add_limits(app, context)
    _add_stubs(app, context)


def _add_clock_and_tasks(app: FastAPI, context: ControlContext) -> None:
    @app.post("/_stand/worlds/{name}/clock", response_model=ClockMoved)
    async def advance_clock(name: str, body: Advance) -> dict[str, Any]:
        """Move the clock forward and run what falls due."""
        world = context.world(name)
        ran = await actions.advance(context, world, body)
        return {"ran": ran, **world.clock.dump()}

    @app.put("/_stand/worlds/{name}/clock", response_model=ClockState)
    async def set_clock_step(name: str, body: ClockStep) -> dict[str, Any]:
        """Let every call to a provider move the clock, so that a client that polls can wait for what is due."""
        world = context.world(name)
        actions.set_step(context, world, body)
        return world.clock.dump()

    @app.put("/_stand/worlds/{name}/tasks", response_model=TaskSettings)
    async def set_tasks(name: str, body: NewTasks | None = None) -> dict[str, Any]:
        """Set how long work takes from now on."""
        world = context.world(name)
        world.tasks.load((body or NewTasks()).model_dump())
        context.save(world)
        return world.tasks.dump()


def _add_faults(app: FastAPI, context: ControlContext) -> None:
    @app.get("/_stand/worlds/{name}/faults", response_model=FaultList)
    async def list_faults(name: str) -> dict[str, Any]:
        """The faults that are set, with how many calls they have seen and struck."""
        return {"faults": context.world(name).faults.dump()}

    @app.post("/_stand/worlds/{name}/faults", status_code=201, response_model=FaultList)
    async def add_fault(name: str, body: NewFault) -> dict[str, Any]:
        """Set a fault."""
        world = context.world(name)
        actions.add_fault(context, world, body)
        return {"faults": world.faults.dump()}

    @app.delete("/_stand/worlds/{name}/faults", status_code=204)
    async def clear_faults(name: str) -> None:
        """Remove all faults."""
        world = context.world(name)
        world.faults.clear()
        context.save(world)


def _add_limits(app: FastAPI, context: ControlContext) -> None:
    @app.get("/_stand/worlds/{name}/limits", response_model=Limits)
    async def list_limits(name: str) -> dict[str, Any]:
        """Rate limits and their running windows."""
        return context.world(name).limits.dump()

    @app.put("/_stand/worlds/{name}/limits/{provider}", response_model=Limits)
    async def set_limit(name: str, provider: str, body: NewLimit) -> dict[str, Any]:
        """Limit the calls to a provider."""
        world = context.world(name)
        actions.set_limit(context, world, provider, body)
        return world.limits.dump()

    @app.delete("/_stand/worlds/{name}/limits/{provider}", status_code=204)
    async def remove_limit(name: str, provider: str) -> None:
        """Remove a provider's limit."""
        actions.remove_limit(context, context.world(name), provider)


def _add_stubs(app: FastAPI, context: ControlContext) -> None:
    options: dict[str, Any] = {"response_model_exclude_unset": True}

    @app.get("/_stand/worlds/{name}/stubs", response_model=StubList, **options)
    async def list_stubs(name: str, unused: bool = False) -> dict[str, Any]:
        """The stubs, newest first; with `unused` those that answered no call."""
        stubs = context.world(name).stubs
        return {"stubs": [describe_stub(stub, context.providers) for stub in (stubs.unused() if unused else stubs)]}

    @app.post("/_stand/worlds/{name}/stubs", status_code=201, response_model=StubInfo, **options)
    async def add_stub(name: str, body: StubSpec) -> dict[str, Any]:
        """Answer the requests that fit instead of the provider. Of the stubs that fit, the newest answers."""
        return describe_stub(actions.add_stub(context, context.world(name), body), context.providers)

    @app.get("/_stand/worlds/{name}/stubs/{stub}", response_model=StubInfo, **options)
    async def get_stub(name: str, stub: int) -> dict[str, Any]:
        """One stub, with the calls that it answered, or those that came nearest."""
        return describe_stub(context.stub(name, stub), context.providers)

    @app.delete("/_stand/worlds/{name}/stubs/{stub}", status_code=204)
    async def remove_stub(name: str, stub: int) -> None:
        """Remove a stub."""
        context.stub(name, stub).remove()
        context.save(context.world(name))

    @app.delete("/_stand/worlds/{name}/stubs", status_code=204)
    async def clear_stubs(name: str) -> None:
        """Remove all stubs."""
        world = context.world(name)
        world.stubs.clear()
        context.save(world)
