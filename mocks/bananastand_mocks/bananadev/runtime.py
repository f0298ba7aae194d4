"""The mock's runtime of Banana's API: its state is in a world, its models draw pictures.

`http_runtime.HttpRuntime` forwards to a running Potassium app instead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

from bananastand.banana_api.runtime import (
    WARMUP,
    BananaAccount,
    BananaDeployment,
    BananaProject,
    BananaRun,
    BuildOutput,
    DailyUsage,
)
from bananastand.banana_api.uploads import expired_uploads
from bananastand.contracts.errors import ProviderError
from bananastand.contracts.response import JSON, ApiResponse

from ..kernel.world import World
from . import deploying, state
from .drawing import draw

__all__ = ["UPLOAD_KEY", "Finished", "InstantRuntime", "RuntimeFactory"]

UPLOAD_KEY = "banana-upload"  # the kind of credential that an upload's key is
LOOK = 0.05  # seconds between two looks at a clock
NO_HANDLER = (
    b"<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n"
    b"<p>The requested URL was not found on the server. If you entered the URL manually please check your spelling "
    b"and try again.</p>\n"
)


@dataclass(frozen=True, slots=True)
class Finished:
    """The outcome of a run: the app's JSON, or why there is none."""

    output: Any = None
    error: str | None = None


class InstantRuntime:
    """Answers at once with a drawn picture, or as soon or late as the world's tasks are set to.

    Args:
        world: Keeps the state; a runtime is made for each call.

    Attributes:
        keeps_outputs: Whether outputs are stored with their run. Pictures are not: they are drawn again, because the
            same inputs give the same picture.
    """

    keeps_outputs: ClassVar[bool] = False

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def hold_seconds(self) -> float:
        """How long start and run wait for their outputs."""
        return state.setting(self._world, "hold_seconds")

    @property
    def long_poll_seconds(self) -> float:
        """How long a check with longPoll waits."""
        return state.setting(self._world, "long_poll_seconds")

    def now(self) -> float:
        """Return the world's time."""
        return self._world.clock.now()

    def new_id(self) -> str:
        """Return a UUID drawn from the world's seed."""
        return self._world.ids.uuid()

    def account(self) -> BananaAccount:
        """Return the world's account."""
        row = state.account(self._world)
        return BananaAccount(
            id=row["id"],
            team_id=row["teamId"],
            team_name=row["teamName"],
            email=row["email"],
            plan=row["plan"],
            created_at=row["createdAt"],
            max_replicas=row["limits"]["maxReplicas"],
            concurrent_builds=row["limits"]["concurrentBuilds"],
            api_keys=len(self._world.credentials.get("banana", [])),
        )

    def projects(self) -> Sequence[BananaProject]:
        """Return all projects, oldest first."""
        return [_project(row) for row in state.models(self._world).values()]

    def find_project(self, name: str) -> BananaProject | None:
        """Return the project of that id, model key or slug."""
        row = state.find_model(self._world, name)
        return None if row is None else _project(row)

    def find_model(self, key: str) -> BananaProject | None:
        """Return the project of that model key."""
        row = state.models(self._world).get(key)
        return None if row is None else _project(row)

    def create_project(self, name: str) -> BananaProject:
        """Create a project whose id is its key too; names may repeat."""
        key = self._world.ids.uuid()
        return _project(state.add_model(self._world, key, name, id=key))

    def change_project(self, project: BananaProject, changes: Mapping[str, int]) -> BananaProject:
        """Change the settings, whatever their values."""
        row = state.models(self._world)[project.model_key]
        row.update({SETTINGS[name]: value for name, value in changes.items()})
        return _project(row)

    def deployments(self) -> Mapping[str, Sequence[BananaDeployment]]:
        """Return the deployments of all projects, newest first, by model key."""
        by_model = dict[str, list[BananaDeployment]]()
        for id, row in reversed(state.deployments(self._world).items()):
            by_model.setdefault(row["modelKey"], []).append(_deployment(id, row))
        return by_model

    def deploy(self, model_key: str, source: str, environment: Any) -> BananaDeployment:
        """Queue a deployment, which is built on the world's clock."""
        id = deploying.begin(self._world, model_key, source, environment)
        return _deployment(id, state.deployments(self._world)[id])

    def build_output(self, deployment: str) -> BuildOutput | None:
        """Return what the pretended build has written."""
        self._world.clock.run_due()
        row = state.deployments(self._world).get(deployment)
        if row is None:
            return None
        return BuildOutput(state.log_lines(self._world, deployment), row["status"] in ("live", "failed"))

    def create_upload(self, project: BananaProject) -> str:
        """Return a key, which is a credential of the world."""
        key = f"{project.id}/{self._world.ids.hex(32)}.tar.gz"
        state.uploads(self._world)[key] = {"project": project.id, "bytes": None}
        self._world.admit(UPLOAD_KEY, key)
        self._forget_uploads()
        return key

    def put_upload(self, key: str, content: bytes) -> None:
        """Store an archive. Raises ProviderError: upload_refused."""
        upload = state.uploads(self._world).get(key)
        if upload is None:
            raise ProviderError("upload_refused")
        upload["bytes"] = len(content)
        self._world.blobs[f"bananadev/{key}"] = content
        self._forget_uploads()

    def has_upload(self, key: str, project: BananaProject) -> bool:
        """Return whether an archive of the project was stored under the key."""
        upload = state.uploads(self._world).get(key)
        return upload is not None and upload["bytes"] is not None and upload["project"] == project.id

    def usage(self) -> Iterable[DailyUsage]:
        """Return the usage of every day and model."""
        for name, row in state.usage_rows(self._world).items():
            day, _, key = name.partition(" ")
            yield DailyUsage(
                date.fromisoformat(day),
                key,
                row["runs"],
                row["succeeded"],
                row["failed"],
                row["computeSeconds"],
                row["coldStarts"],
            )

    async def submit(self, model_key: str, inputs: Any, *, id: str | None, wait: float | None) -> BananaRun:
        """Begin a run; its row is written before anything is waited for.

        Raises:
            ProviderError: model_not_found.
        """
        world = self._world
        model, now, tasks = state.model(world, model_key), world.clock.now(), world.tasks
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
            await self._settle(row, wait or 0.0)
        return await self._run(row, outputs=wait is not None)

    async def check(self, call: str, *, wait: float) -> BananaRun | None:
        """Return the run, a poll nearer to its end."""
        row = state.find_run(self._world, call)
        if row is None:
            return None
        if row["polls"] > 0:
            row["polls"] -= 1
        else:
            await self._settle(row, wait)
        return await self._run(row)

    async def call(
        self, project: BananaProject, route: str, body: Any, raw: bytes, *, request_id: str | None = None
    ) -> ApiResponse:
        """Answer as the app's handler would.

        Raises:
            ProviderError: no_replicas, busy, timed_out, failed.
        """
        world, key = self._world, project.model_key
        running: dict[str, int] = world.live.setdefault("bananadev.at_work", {})
        if running.get(key, 0) >= project.max_replicas:
            raise ProviderError("no_replicas")
        if state.setting(world, "busy"):
            raise ProviderError("busy")
        running[key] = running.get(key, 0) + 1
        try:
            response = await self._handle(project, route, body, raw)
        finally:
            running[key] -= 1
        row = state.model(world, key)
        if route != WARMUP:
            succeeded = response.status < 400
            state.count_run(world, key, succeeded=succeeded, seconds=0.0, cold=state.is_cold(world, row))
        row["lastRun"] = world.clock.now()
        return response

    async def work(self, model_key: str, inputs: Any) -> Finished:
        """Do the model's work; off the event loop, because drawing takes milliseconds."""
        return Finished(await asyncio.to_thread(draw, model_key, inputs))

    async def _handle(self, project: BananaProject, route: str, body: Any, raw: bytes) -> ApiResponse:
        if route == WARMUP:
            return ApiResponse({"warm": True})
        if route not in state.setting(self._world, "routes"):
            return ApiResponse(NO_HANDLER, 404, content_type="text/html; charset=utf-8")
        if failure := self._world.tasks.take_failure():
            raise ProviderError("failed", failure)
        await self._take_time(project)
        finished = await self.work(project.model_key, body)
        return ApiResponse(finished.output, content_type=JSON)

    async def _take_time(self, project: BananaProject) -> None:
        """Wait as long as the world's tasks take; a call that outlives the project's inferenceTimeout is a 504."""
        world, limit = self._world, project.inference_timeout
        if world.tasks.mode != "after_seconds":
            return
        seconds = min(world.tasks.seconds, limit)
        await self._wait_until(world.clock.now() + seconds, seconds / world.clock.speed)
        if world.tasks.seconds > limit:
            raise ProviderError("timed_out")

    async def _settle(self, row: state.Row, wait: float) -> None:
        """Finish the run if it is due by now, or within the wait."""
        if row["state"] != "running":
            return
        if row["due"] is not None and not await self._wait_until(row["due"], wait):
            return
        if row["state"] != "running" or state.runs(self._world).get(row["callID"]) is not row:
            return  # another caller waited too, or the world was reset
        if row["error"] is not None:
            state.end_run(self._world, row, "failed")
            return
        await self._finish(row, wait)

    async def _finish(self, row: state.Row, wait: float) -> None:
        """Do the work, if it takes no longer than the wait; drawing is put off until its output is read."""
        state.end_run(self._world, row, "succeeded")

    async def _run(self, row: state.Row, *, outputs: bool = True) -> BananaRun:
        output = None
        if outputs and row["state"] == "succeeded":
            output = row["output"] if "output" in row else (await self.work(row["modelKey"], row["inputs"])).output
        error = row["error"] if row["state"] == "failed" else None
        return BananaRun(row["callID"], row["id"], row["modelKey"], row["created"], row["state"], output, error)

    async def _wait_until(self, due: float, wait: float) -> bool:
        """Wait until a moment of the world's clock, for `wait` real seconds at most; return whether it has come.

        A virtual clock is never waited for. A real one may be moved meanwhile, and so is looked at again and again.
        """
        clock, until = self._world.clock, time.monotonic() + wait
        while (left := due - clock.now()) > 0:
            seconds = until - time.monotonic()
            if clock.virtual or seconds <= 0 or self._world.clock is not clock:
                return False
            await asyncio.sleep(min(seconds, left / clock.speed, LOOK))
        return True

    def _forget_uploads(self) -> None:
        uploads = state.uploads(self._world)
        for key in expired_uploads({key: upload["bytes"] or 0 for key, upload in uploads.items()}):
            del uploads[key]
            self._world.blobs.pop(f"bananadev/{key}", None)
            self._world.expel(UPLOAD_KEY, key)


RuntimeFactory = Callable[[World], InstantRuntime]

SETTINGS = {
    "min_replicas": "minReplicas",
    "max_replicas": "maxReplicas",
    "inference_timeout": "inferenceTimeout",
    "idle_timeout": "idleTimeout",
}


def _project(row: state.Row) -> BananaProject:
    return BananaProject(
        id=row["id"],
        team_id=row["teamId"],
        model_key=row["modelKey"],
        name=row["name"],
        slug=row["slug"],
        created_at=row["createdAt"],
        **{attribute: row[name] for attribute, name in SETTINGS.items()},
    )


def _deployment(id: str, row: state.Row) -> BananaDeployment:
    return BananaDeployment(
        id,
        row["modelKey"],
        row["status"],
        row["source"],
        row["environment"],
        row["createdAt"],
        row.get("finishedAt"),
        row.get("message"),
    )
