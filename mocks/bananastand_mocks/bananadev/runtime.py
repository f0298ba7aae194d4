"""What runs models behind the API: the protocol, and the runtime that draws instead. Knows worlds, no HTTP.

Three runtimes stand behind the same endpoints: this one, `http_runtime.HttpRuntime`, which forwards to a running
Potassium app, and the local Banana, which builds and runs apps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from bananastand.contracts.errors import ProviderError

from ..kernel.world import World
from . import deploying, state
from .drawing import draw

__all__ = ["WARMUP", "Finished", "InstantRuntime", "Reply", "Run", "RunUrls", "Runtime"]


@dataclass(frozen=True, slots=True)
class Finished:
    """The outcome of one piece of work: the app's JSON, or why there is none."""

    output: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as a caller sees it. `output` is the app's JSON once the run succeeded, `error` says why it failed."""

    call_id: str
    id: str
    model_key: str
    created: int
    status: Literal["running", "succeeded", "failed"]
    output: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What an app answered on its run URL; `pieces` is what it streams."""

    status: int
    content_type: str
    body: bytes | Any
    pieces: AsyncGenerator[bytes] | None = None


class Runtime(Protocol):
    """Runs models. `wait` is how many seconds a call may be held for its outputs, 0 for not at all."""

    async def submit(self, world: World, model_key: str, inputs: Any, *, id: str | None, wait: float | None) -> Run:
        """Begin a run; with a wait of None its outputs are not wanted. Raises ProviderError: model_not_found."""
        ...

    async def check(self, world: World, call: str, *, wait: float) -> Run | None:
        """The run whose callID or id this is; None if there is none."""
        ...

    async def cancel(self, world: World, call: str) -> bool:
        """Call a run off; False if there is none, or it is over."""
        ...

    def deploy(self, world: World, model_key: str, source: str, environment: Any) -> str:
        """Build a source as a model, made if there is none of that key; the deployment's id."""
        ...

    def list(self, world: World) -> list[state.Row]:
        """All models."""
        ...

    def create(self, world: World, name: str) -> state.Row:
        """A new project."""
        ...

    def change(self, world: World, row: state.Row, changes: state.Row) -> state.Row:
        """The project with other settings. Raises ProviderError: violation."""
        ...

    def log_lines(self, world: World, build: str) -> list[state.Row]:
        """The log of a build so far: {"t": ISO time, "m": text}."""
        ...


@runtime_checkable
class RunUrls(Protocol):
    """What a runtime has beside, if it answers run URLs behind these endpoints. The local Banana does so itself."""

    async def call(
        self, world: World, project: state.Row, route: str, body: Any, raw: bytes, *, request_id: str | None = None
    ) -> Reply:
        """Call a handler of an app directly; a call of the same request id may be that call again.

        Raises ProviderError: no_replicas, busy, timed_out, failed, unavailable.
        """
        ...


class InstantRuntime:
    """Answers at once with a drawn picture, or as soon or late as the world's tasks are told to take.

    `keeps_outputs` says whether outputs are stored with their run: pictures are not, they are drawn again, because the
    same inputs give the same picture.
    """

    keeps_outputs = False

    async def submit(self, world: World, model_key: str, inputs: Any, *, id: str | None, wait: float | None) -> Run:
        """Begin a run; its row is written before anything is waited for. With None no outputs are shown."""
        model = state.model(world, model_key)
        now = world.clock.now()
        tasks = world.tasks
        row: state.Row = {
            "callID": f"call_{world.ids.uuid()}",
            "id": id or world.ids.uuid(),
            "modelKey": model_key,
            "inputs": inputs,
            "created": int(now),
            "begun": now,
            "due": now + tasks.seconds if tasks.mode == "after_seconds" else None,
            "polls": tasks.polls if tasks.mode == "after_polls" else 0,
            "state": "running",
            "error": tasks.take_failure(),
            "cold": state.is_cold(world, model),
        }
        model["lastRun"] = now
        state.keep_run(world, row)
        if row["due"] is not None and not self.keeps_outputs:
            world.clock.after(tasks.seconds, state.RUN_DUE, call=row["callID"])
        if not row["polls"]:
            await self._settle(world, row, wait or 0.0)
        return await self._seen(world, row, outputs=wait is not None)

    async def check(self, world: World, call: str, *, wait: float) -> Run | None:
        """The run, a poll nearer to its end."""
        row = state.find_run(world, call)
        if row is None:
            return None
        if row["polls"] > 0:
            row["polls"] -= 1
        else:
            await self._settle(world, row, wait)
        return await self._seen(world, row)

    async def cancel(self, world: World, call: str) -> bool:
        """Call a run off."""
        row = state.find_run(world, call)
        if row is None or row["state"] != "running":
            return False
        row["error"] = "the run was cancelled"
        state.end_run(world, row, "failed")
        state.drop_work(world, row["callID"])
        return True

    def deploy(self, world: World, model_key: str, source: str, environment: Any) -> str:
        """Put a deployment on its way through building and deploying, on the world's clock."""
        return deploying.begin(world, model_key, source, environment)

    def list(self, world: World) -> list[state.Row]:
        """All models, oldest first."""
        return list(state.models(world).values())

    def create(self, world: World, name: str) -> state.Row:
        """A project whose id is its key too; names may come twice."""
        key = world.ids.uuid()
        return state.add_model(world, key, name, id=key)

    def change(self, world: World, row: state.Row, changes: state.Row) -> state.Row:
        """Change the settings that are named, whatever their values."""
        state.models_changed(world, row, changes)
        return row

    def log_lines(self, world: World, build: str) -> list[state.Row]:
        """What the pretended build has said."""
        return state.log_lines(world, build)

    async def call(
        self, world: World, project: state.Row, route: str, body: Any, raw: bytes, *, request_id: str | None = None
    ) -> Reply:
        """Answer as the app's handler would."""
        at_work: dict[str, int] = world.live.setdefault("bananadev.at_work", {})
        key = project["modelKey"]
        if at_work.get(key, 0) >= project["maxReplicas"]:
            raise ProviderError("no_replicas")
        if state.setting(world, "busy"):
            raise ProviderError("busy")
        at_work[key] = at_work.get(key, 0) + 1
        try:
            reply = await self._handle(world, project, route, body, raw)
        finally:
            at_work[key] -= 1
        if route != WARMUP:
            cold = state.is_cold(world, project)
            state.count_run(world, project["modelKey"], succeeded=reply.status < 400, seconds=0.0, cold=cold)
        project["lastRun"] = world.clock.now()
        return reply

    async def work(self, world: World, model_key: str, inputs: Any) -> Finished:
        """The model's own work; off the event loop, because drawing takes milliseconds."""
        return Finished(await asyncio.to_thread(draw, model_key, inputs))

    async def _handle(self, world: World, project: state.Row, route: str, body: Any, raw: bytes) -> Reply:
        if route == WARMUP:
            return Reply(200, "application/json", {"warm": True})
        if route not in state.setting(world, "routes"):
            return Reply(404, "text/html; charset=utf-8", NO_HANDLER)
        if failure := world.tasks.take_failure():
            raise ProviderError("failed", failure)
        await _take_time(world, project)
        finished = await self.work(world, project["modelKey"], body)
        return Reply(200, "application/json", finished.output)

    async def _settle(self, world: World, row: state.Row, wait: float) -> None:
        """Finish the run if it is due by now, or within the wait."""
        if row["state"] != "running":
            return
        if row["due"] is not None and not await _wait_until(world, row["due"], wait):
            return
        if row["state"] != "running" or state.runs(world).get(row["callID"]) is not row:
            return  # somebody else waited too, or the world began anew
        if row["error"] is not None:
            state.end_run(world, row, "failed")
            return
        await self._finish(world, row, wait)

    async def _finish(self, world: World, row: state.Row, wait: float) -> None:
        """Do the work, if it takes no longer than the wait; drawing is put off until somebody asks."""
        state.end_run(world, row, "succeeded")

    async def _seen(self, world: World, row: state.Row, *, outputs: bool = True) -> Run:
        output = None
        if outputs and row["state"] == "succeeded":
            output = row["output"] if "output" in row else await self._again(world, row)
        error = row["error"] if row["state"] == "failed" else None
        return Run(row["callID"], row["id"], row["modelKey"], row["created"], row["state"], output, error)

    async def _again(self, world: World, row: state.Row) -> Any:
        return (await self.work(world, row["modelKey"], row["inputs"])).output


WARMUP = "/_k/warmup"
LOOK = 0.05  # seconds between two looks at a clock
NO_HANDLER = (
    b"<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n"
    b"<p>The requested URL was not found on the server. If you entered the URL manually please check your spelling "
    b"and try again.</p>\n"
)


async def _wait_until(world: World, due: float, wait: float) -> bool:
    """Whether it is due, after waiting for it where time runs by itself. A virtual clock is never waited for.

    A real one may be moved meanwhile, and so is looked at again and again.
    """
    clock, until = world.clock, time.monotonic() + wait
    while (left := due - clock.now()) > 0:
        seconds = until - time.monotonic()
        if clock.virtual or seconds <= 0 or world.clock is not clock:
            return False
        await asyncio.sleep(min(seconds, left / clock.speed, LOOK))
    return True


async def _take_time(world: World, project: state.Row) -> None:
    """As long as the world's tasks take; a call that outlives the project's inferenceTimeout is a 504."""
    if world.tasks.mode != "after_seconds":
        return
    seconds, most = world.tasks.seconds, project["inferenceTimeout"]
    await _wait_until(world, world.clock.now() + min(seconds, most), min(seconds, most) / world.clock.speed)
    if seconds > most:
        raise ProviderError("timed_out")
