"""Fake callers: they send, wait, leave, retry under the same id, and remember what they were answered."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from bananastand.platform.errors import PlatformError
from bananastand.platform.scheduling.pending_call import PendingCall
from bananastand.platform.store.calls import CallOutcome

from .platform import SimulatedPlatform
from .world import World

__all__ = ["SimulatedCaller", "callers_of"]

BAD = ("crash", "crash", "stuck", "holds", "garbage", "unavailable", "odd")
GOOD = ("good", "good", "good", "good", "slow", "stream", "background", "fails")


@dataclass(slots=True)
class SimulatedCaller:
    """One call, and what its caller knows of it. A caller outlives the platform's process."""

    name: str
    arrives: float
    kind: str
    seconds: float
    request_id: str | None
    leaves: bool
    padding: int
    call_id: str | None = None
    is_done: bool = False

    @property
    def body(self) -> bytes:
        """The body that is sent."""
        value = {"name": self.name, "kind": self.kind, "seconds": self.seconds, "padding": "x" * self.padding}
        return json.dumps(value).encode()

    async def live(self, world: World, platform: SimulatedPlatform) -> None:
        """Send, wait and retry until the outcome of the call is known, or this life of the platform ends."""
        await asyncio.sleep(max(0.0, self.arrives - world.now))
        while not self.is_done:
            pending = await self._find_or_submit(world, platform)
            if pending is not None and await self._wait(world, platform, pending):
                self.is_done = True
            elif pending is None and self.call_id is None and self.request_id is None and not self.is_done:
                self.is_done = True  # it was refused, and does not come again
            elif not self.is_done:
                await asyncio.sleep(1.0 + world.soon(1.0))

    async def _find_or_submit(self, world: World, platform: SimulatedPlatform) -> PendingCall | None:
        try:
            if self.call_id is not None:
                pending = await platform.dispatcher.find(self.call_id)
                if pending is None:
                    world.violate(f"{self.name} was acknowledged and is not known any more")
                return pending
            patience = 0.001 if world.happens(world.profile.leave / 2) else None
            async with asyncio.timeout(patience):
                pending = await platform.dispatcher.submit(
                    platform.project, f"/{self.kind}", self.body, request_id=self.request_id
                )
        except TimeoutError:
            world.note(self.name, "leaves before it is acknowledged")
            return None
        except PlatformError as error:
            world.note(self.name, f"is refused: {error}")
            return None
        self.call_id = pending.call.id
        owner = world.acknowledged.setdefault(self.call_id, self.name)
        if owner != self.name:
            world.violate(f"{self.name} got the call of {owner}")
        world.note(self.name, f"is acknowledged: a {self.kind} call of {self.seconds:.2f} s")
        return pending

    async def _wait(self, world: World, platform: SimulatedPlatform, pending: PendingCall) -> bool:
        """Wait for the outcome; return whether it is known."""
        if self.leaves and world.chance.random() < 0.5:
            await asyncio.sleep(world.soon(2.0))
            self.leaves = False
            if await platform.dispatcher.cancel(pending.call.id):
                world.note(self.name, "leaves")
        outcome = await pending.outcome(None if world.chance.random() < 0.8 else world.soon(5.0))
        if outcome is None:
            return False
        self._remember(world, pending, outcome)
        return True

    def _remember(self, world: World, pending: PendingCall, outcome: CallOutcome) -> None:
        answer = (outcome.status, outcome.error)
        world.note(self.name, f"is answered {outcome.status}: {outcome.error or 'success'}")
        if outcome.error is None and json.loads(outcome.body.removesuffix(b"more"))["name"] != self.name:
            world.violate(f"{self.name} got another call's answer")
        if world.answers.setdefault(pending.call.id, answer) != answer:
            world.violate(f"{self.name} was answered {world.answers[pending.call.id]} and then {answer}")


def callers_of(world: World) -> list[SimulatedCaller]:
    """Return the callers of a seed."""
    chance, profile, callers = world.chance, world.profile, list[SimulatedCaller]()
    for number in range(profile.calls):
        kind = chance.choice(BAD) if chance.random() < profile.bad_calls else chance.choice(GOOD)
        seconds = chance.expovariate(1.0) if kind != "slow" else chance.uniform(0.5, 2.0) * profile.inference_timeout
        repeats = chance.random() < profile.repeats
        caller = SimulatedCaller(
            f"call {number}", chance.uniform(0.0, profile.spread), kind, seconds, f"id {number}" if repeats else None,
            chance.random() < profile.leave, 200 if chance.random() < 0.2 else 0,
        )  # fmt: skip
        callers.append(caller)
        if repeats and chance.random() < 0.5:
            again = SimulatedCaller(
                caller.name, caller.arrives + chance.uniform(0.0, 20.0), kind, seconds, caller.request_id, False,
                caller.padding,
            )  # fmt: skip
            callers.append(again)
    return callers
