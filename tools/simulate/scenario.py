"""Runs one seed, from its first caller to the moment at which the platform is idle."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from .callers import SimulatedCaller, callers_of
from .invariants import check_end, check_rest, check_step
from .loop import Idle, PowerCut, SimulatedLoop
from .platform import SimulatedPlatform, prepare
from .world import Violation, World

__all__ = ["Failure", "run_seed", "simulated"]

PATIENCE = 3600.0  # virtual seconds after the last misbehaviour in which every call must have ended
MISBEHAVES = 120.0  # virtual seconds in which things misbehave
REST = 600.0  # virtual seconds in which an idle platform must have come to rest
MOST_STEPS = 400_000


class Failure(AssertionError):
    """A seed has found a violation; the text has its trace."""

    def __init__(self, seed: int, violation: str, world: World) -> None:
        super().__init__(f"{world.text()}\n\nseed {seed}: {violation}\n{world.profile}")
        self.seed, self.violation, self.world = seed, violation, world


def run_seed(seed: int, patch: Callable[[], Any] | None = None) -> World:
    """Simulate a seed. Raises Failure.

    Args:
        seed: Decides everything.
        patch: Returns a context manager that injects a fault.
    """
    world = World(seed)
    data = Path(tempfile.mkdtemp(prefix="simulate-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        with simulated(world), patch() if patch is not None else contextlib.nullcontext():
            prepare(data, world)
            _run_lives(world, data)
            check_end(world, data, world.profile.attempts)
    except Violation as violation:
        raise Failure(seed, str(violation), world) from None
    finally:
        shutil.rmtree(data)
    return world


@contextmanager
def simulated(world: World) -> Generator[None]:
    """Clocks, identifiers, ports and sizes that the world decides."""
    bits = random.Random(f"ids of {world.seed}").getrandbits

    def wall_clock() -> float:
        return 1_700_000_000.0 + world.now + world.skew

    def new_id() -> uuid.UUID:
        return uuid.UUID(int=bits(128), version=4)

    patches = [
        mock.patch("time.monotonic", world.read_clock),
        mock.patch("time.time", wall_clock),
        mock.patch("uuid.uuid4", new_id),
        mock.patch("bananastand.platform.store.calls.SMALL", 150),
        mock.patch("bananastand.platform.scheduling.dispatcher.SMALL", 150),
        mock.patch("os.fsync"),
        mock.patch("sys.unraisablehook"),
    ]
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.ExitStack() as stack, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for patch in patches:
                stack.enter_context(patch)
            yield
    finally:
        logging.disable(logging.NOTSET)


def _run_lives(world: World, data: Path) -> None:
    """Run the platform's process again and again, until one life is not killed."""
    callers, chance, profile = callers_of(world), world.chance, world.profile
    ends = ["kill"] * profile.kills + ["stop"] * profile.stops
    chance.shuffle(ends)
    now = 0.0
    while True:
        end = ends.pop() if ends else "rest"
        by_write = chance.randint(1, 60) if end == "kill" and chance.random() < 0.7 else None
        loop = SimulatedLoop(chance, now, lambda: None)
        world.clock, world.dead = loop.time, False
        try:
            if _run_life(world, data, loop, callers, end, by_write):
                return
        finally:
            now = loop.time() + chance.uniform(0.1, 10.0)
            _abandon(loop)


def _run_life(
    world: World, data: Path, loop: SimulatedLoop, callers: list[SimulatedCaller], end: str, by_write: int | None
) -> bool:
    """Run one life of the process; return whether it was the last."""
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(lambda loop, context: None)  # a task that failed shows in what does not happen
    platform: list[SimulatedPlatform] = []
    steps = [0]

    def after_step() -> None:
        steps[0] += 1
        if platform and not world.dead:
            check_step(world, platform[0])
        if steps[0] > MOST_STEPS:
            raise Violation("it goes on and on")

    loop._after_step = after_step  # pyright: ignore[reportPrivateUsage]

    async def main() -> bool:
        life = SimulatedPlatform(data, world, by_write)
        platform.append(life)
        await life.start()
        return await _until_end(world, life, callers, end)

    try:
        return loop.run_until_complete(main())
    except PowerCut:
        world.kills += 1
        world.note("platform", "is dead")
        world.platform_ends(platform[0].is_over)
        return False
    except Idle:
        raise Violation("nothing is scheduled any more, and calls have no end") from None
    finally:
        for life in platform:
            life.nodes.die()
            if not world.dead or life._peek is not None:  # pyright: ignore[reportPrivateUsage]
                with contextlib.suppress(Exception):
                    life.close()


async def _until_end(world: World, platform: SimulatedPlatform, callers: list[SimulatedCaller], end: str) -> bool:
    tasks = [asyncio.create_task(caller.live(world, platform)) for caller in callers if not caller.is_done]
    clock = asyncio.create_task(_jump_clock(world))
    if end == "kill":
        await asyncio.sleep(world.chance.uniform(0.0, world.profile.spread + 20.0))
        world.note("platform", "is killed")
        world.dead = True
        raise PowerCut
    if end == "stop":
        await asyncio.sleep(world.chance.uniform(0.0, world.profile.spread + 20.0))
        clock.cancel()
        await platform.stop()
        world.platform_ends(lambda run_id: False)
        return False
    await asyncio.sleep(max(0.0, MISBEHAVES - world.now))
    world.healing = True
    world.note("world", "nothing misbehaves any more")
    clock.cancel()
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=PATIENCE)
        if left:
            names = [caller.name for caller in callers if not caller.is_done]
            raise Violation(f"{', '.join(names)} had no end {PATIENCE:g} s after the last misbehaviour")
    for task in tasks:
        task.result()
    await _rest(world, platform)
    await platform.stop()
    return True


async def _rest(world: World, platform: SimulatedPlatform) -> None:
    """Wait until nothing is left to do, and check that nothing is scheduled then."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    until = world.now + PATIENCE
    while await platform.calls.unfinished() or any(replica.inflight for replica in platform.pool.replicas.values()):
        if world.now > until:
            check_rest(platform)
            unfinished = await platform.calls.unfinished()
            left = [f"{call.route} ({call.state}, {call.attempts} attempts)" for call in unfinished]
            raise Violation(f"calls that nobody waits for have no end: {', '.join(left)}")
        await asyncio.sleep(5.0)
    check_rest(platform)
    await asyncio.sleep(REST)
    runs = platform.scaling.runs
    await asyncio.sleep(REST)
    if not world.profile.replicas_least and (platform.pool.replicas or loop.timers):
        raise Violation(f"an idle platform has {len(platform.pool.replicas)} replicas and timers: {loop.timers}")
    if platform.scaling.runs != runs:
        raise Violation("the autoscaler of an idle platform runs again and again")


async def _jump_clock(world: World) -> None:
    """Set the wall clock wrong, now and then."""
    while world.profile.clock_jumps:
        await asyncio.sleep(world.soon(20.0))
        if world.happens(world.profile.clock_jumps):
            world.skew = world.chance.uniform(-3600.0, 3600.0)
            world.note("clock", f"is {world.skew:.0f} s off")


def _abandon(loop: SimulatedLoop) -> None:
    """Drop the tasks of a dead process."""
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        coroutine: Any = task.get_coro()
        with contextlib.suppress(BaseException):
            coroutine.close()
    asyncio.set_event_loop(None)
    loop.close()
    gc.collect(0)
