"""What routes and pages do to a world. A value that a model cannot refuse is refused with HTTPException."""

from __future__ import annotations

import asyncio

from fastapi import HTTPException

from ..faults import Fault
from ..stub import Stub, StubSpec
from ..stub_checks import check_names
from ..world import World
from .bodies import Advance, ClockStep, NewFault, NewLimit, NewWorld, Reset
from .context import ControlContext

__all__ = ["add_fault", "add_stub", "advance", "create_world", "remove_limit", "reset", "set_limit", "set_step"]


def create_world(context: ControlContext, body: NewWorld) -> World:
    """Make a world with credentials of its own."""
    try:
        world = context.worlds.create(
            body.name, kind=body.kind, seed=body.seed, virtual=body.time == "virtual", speed=body.speed
        )
    except ValueError as error:
        raise HTTPException(409, str(error)) from None
    world.clock.step = body.step
    world.auto_advance = body.auto_advance
    context.save(world)
    return world


def reset(context: ControlContext, world: World, body: Reset) -> None:
    """Begin a world anew."""
    context.worlds.reset(world, kind=body.kind, seed=body.seed)
    context.save(world)


async def advance(context: ControlContext, world: World, body: Advance) -> int:
    """Move a clock forward and run what falls due; return how many events ran."""
    try:
        ran = await asyncio.to_thread(world.clock.advance, body.advance)  # what falls due may block
    except ValueError as error:
        raise HTTPException(422, f"advance: {error}") from None
    context.save(world)
    return ran


def set_step(context: ControlContext, world: World, body: ClockStep) -> None:
    """Let every call move a clock."""
    world.clock.step = body.step
    context.save(world)


def add_fault(context: ControlContext, world: World, body: NewFault) -> None:
    """Set a fault."""
    if body.operation != "*" and not any(body.operation in provider.contract.by_id for provider in context.providers):
        raise HTTPException(422, f"operation: no provider here has {body.operation}")
    try:
        world.faults.add(Fault(**body.model_dump()))
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    context.save(world)


def add_stub(context: ControlContext, world: World, body: StubSpec) -> Stub:
    """Set a stub."""
    try:
        check_names(body.request, context.providers)
        stub = world.stubs.add(body)
    except ValueError as error:
        raise HTTPException(422, f"request.{error}") from None
    context.save(world)
    return stub


def set_limit(context: ControlContext, world: World, provider: str, body: NewLimit) -> None:
    """Limit the calls to a provider."""
    _check_provider(context, provider)
    world.limits.set(provider, body.calls, body.seconds)
    context.save(world)


def remove_limit(context: ControlContext, world: World, provider: str) -> None:
    """Remove a provider's limit."""
    _check_provider(context, provider)
    world.limits.unset(provider)
    context.save(world)


def _check_provider(context: ControlContext, provider: str) -> None:
    if all(provider != served.name for served in context.providers):
        raise HTTPException(404, f"there is no provider {provider}")
