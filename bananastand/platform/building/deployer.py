"""Takes builds from queued to live: builds, starts one replica of the new version, and moves the traffic.

A version that fails takes no traffic. Builds that a killed supervisor left are built again. Builds of one project run
in sequence.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import Conflict, PlatformError, Refused, ReplicaFailed, StoreError
from ..launch import Launch
from ..replicas.advice import explain
from ..replicas.pool import Pool
from ..replicas.process import run_quietly
from ..replicas.replica import Replica
from ..replicas.start_command import remove_image_command
from ..settings import Settings
from ..store.builds import FINAL_STATES, Build, Builds, Deployment, State
from ..store.logs import Log, mask, plain, texts_to_mask
from ..store.projects import Project, Projects
from ..store.uploads import Uploads
from ..tracebacks import last_error

NODE_LOSSES = 5  # that the first replica of a version survives

__all__ = ["Builder", "Deployer", "BuildRequest"]

logger = logging.getLogger("bananastand.platform")

RETRY = 1.0  # seconds before an end is recorded again that the disk did not take
IMAGE = 60.0  # seconds for an engine to remove an image
ATTEMPTS = 3  # of a build, where each time the supervisor was killed
SILENCE = 15.0  # seconds without a line before a build's log says that it goes on
SAID = "replica | "  # before a replica's own lines in the log of its build
ADVISED = "weights: "  # begins a builder's reason that says itself what to do
DOING = {"building": "building", "deploying": "starting a replica"}


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What a builder gets.

    Attributes:
        source: As the deploy names it.
        folder: The build's own.
        builder: "process", "container", or None to choose.
        environment: For the build and its replicas.
        secrets: For the build and its replicas; kept out of layers and logs.
        log: Called with each line.
        as_of: The date open requirements resolve as of, "now", or None for the repository's own.
    """

    source: str
    folder: Path
    builder: str | None
    environment: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    log: Callable[[str], None]
    as_of: str | None = None


Builder = Callable[[BuildRequest], Awaitable[Launch]]


class Deployer:
    """All builds that are not over. `poke` is called with a project's id when a build of it is over."""

    def __init__(
        self, settings: Settings, projects: Projects, builds: Builds, pool: Pool, builder: Builder,
        uploads: Uploads, poke: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._settings, self._projects, self._builds = settings, projects, builds
        self._pool, self._builder, self._poke = pool, builder, poke
        self._uploads = uploads
        self._waiting: list[Build] = []
        self._running: dict[str, asyncio.Task[None]] = {}  # by project
        self._current: dict[str, Build] = {}
        self._logs: dict[str, Log] = {}
        self._starting: dict[str, Log] = {}  # by the replica with which a new version proves itself

    async def recover(self) -> int:
        """Resume the builds that an earlier supervisor left, and return how many."""
        left = sorted(self._builds.list(states=("queued", "building", "deploying")), key=lambda build: build.number)
        for build in left:
            if build.attempts >= ATTEMPTS:
                await self._fail(build, f"the platform was killed {build.attempts} times while it built")
            else:
                self._waiting.append(build)
        self._next()
        return len(left)

    def take(self, build: Build) -> None:
        """Queue a new build."""
        self.log(build).add(f"build {build.id} of {self._name(build)} is queued")
        if build.source == str(self.archive(build.id)):
            self._uploads.store(build.id)
        self._waiting.append(build)
        self._next()

    def pending(self, project_id: str) -> bool:
        """Whether a build of the project may still go live."""
        return project_id in self._running or any(build.project_id == project_id for build in self._waiting)

    def log(self, build: Build) -> Log:
        """Return a build's log, closed where the build is over."""
        known = self._logs.get(build.id)
        if known is None:
            path = self._settings.data / "logs" / f"build-{build.id}.ndjson"
            earlier = self._settings.earlier_lines(build.created)
            known = Log(path, limit=self._settings.build_log, secrets=build.secrets.values(), earlier=earlier)
            if build.state in FINAL_STATES:
                known.close()
            else:
                self._logs[build.id] = known
        return known

    def relay(self, replica: str, line: str) -> None:
        """Add a replica's line to the log of its build while the new version starts."""
        log = self._starting.get(replica)
        if log is not None and not line.startswith("failed: "):  # the end of the build repeats it
            log.add(f"{SAID}{plain(line)}")

    async def cancel(self, build: Build) -> Build:
        """Cancel a build. Raises Conflict where it is over."""
        if build in self._waiting:
            self._waiting.remove(build)
            return await self._finish(build, "cancelled")
        task = self._running.get(build.project_id)
        if task is None or self._current.get(build.project_id, build).id != build.id:
            raise Conflict(f"the build is {build.state} already")
        task.cancel("cancelled")
        await asyncio.wait({task})
        return self._builds.get(build.id)

    def rollback(self, project: Project, build_id: str | None) -> Build:
        """Point the traffic at an earlier version, by default the one before the live one. Raises Refused."""
        done = [build for build in self._builds.list(project) if build.state == "live" and build.id != project.live]
        if build_id is None:
            now = self._builds.get(project.live).number if project.live else 0
            build = next((build for build in done if build.number < now), None)
        else:
            build = next((build for build in done if build.id == build_id), None)
        deployment = self._builds.deployment(build.id) if build is not None else None
        if build is None or deployment is None:
            raise Refused("there is no earlier version to go back to" if build_id is None else "no such version")
        self._point(project, deployment)
        return build

    async def forget(self, build: Build) -> None:
        """Delete a build that is over, with its files and image."""
        await self._clear(build)
        self._builds.forget(build)

    async def abandon(self, project: Project) -> None:
        """End all builds of a project that is to be deleted."""
        for build in [build for build in self._waiting if build.project_id == project.id]:
            self._waiting.remove(build)
        if task := self._running.get(project.id):
            task.cancel("cancelled")
            await asyncio.wait({task})

    async def clear(self, project: Project) -> None:
        """Delete the files and images of a project's builds."""
        for build in self._builds.list(project):
            await self._clear(build)

    async def close(self) -> None:
        """Stop all builds; they are built again when the platform starts."""
        self._waiting.clear()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel("closing")
        await asyncio.gather(*tasks, return_exceptions=True)
        for log in self._logs.values():
            log.close()

    def folder(self, build: Build) -> Path:
        """Return the folder that a build may write to, kept while its deployment lives."""
        return self._settings.data / "builds" / build.id

    def archive(self, build_id: str) -> Path:
        """Return where an uploaded source waits for its build."""
        return self._uploads.path(build_id)

    async def keep_archive(self, build: Build) -> None:
        """Wait until a new build's upload is where other machines find it. Raises StoreError: it is cancelled."""
        try:
            await self._uploads.stored(build.id)
        except PlatformError:
            with suppress(PlatformError):
                await self.cancel(self._builds.get(build.id))
            raise

    def _next(self) -> None:
        for build in list(self._waiting):
            if len(self._running) >= self._settings.builds_at_once:
                return
            if build.project_id not in self._running:
                self._waiting.remove(build)
                self._current[build.project_id] = build
                self._running[build.project_id] = asyncio.create_task(self._work(build), name=f"build {build.id}")

    async def _work(self, build: Build) -> None:
        signs = asyncio.create_task(self._log_progress(build))
        try:
            deployment = self._builds.deployment(build.id) if build.state == "deploying" else None
            if deployment is None:
                deployment = await self._build(build)
            await self._deploy(build, deployment)
        except asyncio.CancelledError as error:
            if error.args == ("closing",):
                raise
            await self._finish(build, "cancelled")
        except PlatformError as error:
            await self._fail(build, str(error))
        except Exception as error:
            logger.exception("build %s failed", build.id)
            await self._fail(build, f"{type(error).__name__}: {error}")
        finally:
            signs.cancel()
            self._running.pop(build.project_id, None)
            self._current.pop(build.project_id, None)
            self._next()
            self._poke(build.project_id)

    async def _build(self, build: Build) -> Deployment:
        build, limit = self._builds.move(build, "building"), self._settings.build_timeout
        say = self._thread_safe_log(build)
        folder = self.folder(build)
        if build.attempts > 1:
            say("started again: the platform was killed while it built")
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if build.source == str(self.archive(build.id)):
            await self._uploads.fetch(build.id)
        order = BuildRequest(build.source, folder, build.builder, build.environment, build.secrets, say, build.as_of)
        try:
            async with asyncio.timeout(limit):
                launch = await self._builder(order)
        except TimeoutError:
            step = next((line for line in _last_printed(self.log(build))[:1] if line.startswith("step ")), "")
            during = f" in {step}" if step else ""
            more = "bananastand up --build-timeout allows more"
            raise Refused(f"the build took longer than {limit:g} s and was ended{during}; {more}") from None
        except OSError as error:
            raise Refused(f"the build could not be written: {error}") from error
        deployment = self._builds.add_deployment(build, launch)
        self._builds.move(build, "deploying")
        return deployment

    async def _deploy(self, build: Build, deployment: Deployment) -> None:
        """Start a replica of the new version and let it take the traffic once it is ready."""
        project, say = self._projects.named(build.project_id), self.log(build).add
        say("built; starting a replica")
        single = self._pool.nodes.why_single(deployment.launch)
        if single is not None and self._pool.of_project(project.id):
            say(f"{single}: the old version stops before the new one starts")
            for old_replica in self._pool.of_project(project.id):
                old_replica.drain("a new version takes its port")
            await asyncio.gather(*(replica.ended for replica in self._pool.of_project(project.id)))
        try:
            replica = await self._start_trial(build, project, deployment)
        except ReplicaFailed as error:
            if project.live is None:
                raise
            raise ReplicaFailed(f"the new version takes no traffic, the one before stays live: {error}") from error
        try:
            self._builds.record_concurrency(deployment, replica.declared_concurrency)
            self._point(self._projects.named(build.project_id), deployment, trial=replica)
        except PlatformError:  # the disk is full, or the project is gone
            replica.stop("its version does not go live", 0.0)
            raise
        say(f"live; its first replica took {replica.startup_seconds or 0.0:.2f} s to start")
        await self._finish(build, "live")
        await self._forget_old(project)

    async def _start_trial(self, build: Build, project: Project, deployment: Deployment) -> Replica:
        """Start the first replica of a version, on another node where its node is lost. Raises ReplicaFailed."""
        for attempt in range(NODE_LOSSES + 1):
            replica = self._pool.start(project, deployment, share=True)
            if replica is None:
                reason = self._pool.why_never(project) or "there is no room for it, or its port is taken"
                raise ReplicaFailed(f"no replica can be started: {reason}")
            self._starting[replica.id] = self.log(build)
            try:
                await asyncio.shield(replica.ready)
                return replica
            except ReplicaFailed:
                if not replica.is_lost or attempt == NODE_LOSSES:
                    raise
                await asyncio.sleep(RETRY)
            finally:
                if replica.state != "ready":
                    replica.stop("its version does not go live", 0.0)
                self._starting.pop(replica.id, None)
        raise AssertionError

    def _point(self, project: Project, deployment: Deployment, trial: Replica | None = None) -> None:
        """Move the traffic; replicas of other versions drain."""
        self._pool.failing.pop(deployment.id, None)
        self._projects.point(project, deployment.id)
        for replica in self._pool.of_project(project.id):
            if replica.deployment.id != deployment.id:
                replica.drain(f"version {deployment.id[:8]} takes the traffic")
        if trial is not None:
            trial.log_event("takes the traffic")

    async def _fail(self, build: Build, reason: str) -> Build:
        """Record the reason and, where it is known, what to do."""
        log, secret = self.log(build), texts_to_mask(build.secrets.values())
        printed, source = _last_printed(log), self.folder(build) / "source"
        if "ended with status" in reason and (error := last_error(printed)) and error.message not in reason:
            reason = f"{reason}; its last error: {error.sentence(source)}"
        reason = mask(plain(reason).replace("\n", " "), secret)
        log.add(f"error: {reason}")
        step = explain([*printed, reason], source, build.environment) if ADVISED not in reason else None
        if step is None:
            return await self._finish(build, "failed", reason)
        step = mask(plain(step), secret)
        log.add(f"advice: {step}")
        return await self._finish(build, "failed", f"{reason}\n{step}")

    async def _log_progress(self, build: Build) -> None:
        """Log now and then that the build goes on."""
        log, began = self.log(build), time.monotonic()
        while not log.closed:
            await asyncio.sleep(max(0.05, log.changed + SILENCE - time.monotonic()))
            doing = DOING.get(self._current_state(build))
            if doing is not None and time.monotonic() - log.changed >= SILENCE:
                most = f", {self._settings.start_timeout:g} s at most" if doing == DOING["deploying"] else ""
                log.add(f"still {doing}: {time.monotonic() - began:.0f} s since the build began{most}")

    async def _finish(self, build: Build, state: State, error: str | None = None) -> Build:
        """Record the end of a build, retrying while the disk is full."""
        if state == "cancelled":
            self.log(build).add("cancelled")
        while True:
            try:
                build = self._builds.move(build, state, error=error)
                break
            except StoreError as problem:
                logger.error("the end of build %s cannot be recorded yet: %s", build.id, problem)
                await asyncio.sleep(RETRY)
            except PlatformError:
                break  # it is over already, or gone
        if known := self._logs.pop(build.id, None):
            known.close()
        await self._uploads.remove(build.id)
        return build

    async def _forget_old(self, project: Project) -> None:
        done = [build for build in self._builds.list(project) if build.state == "live" and build.id != project.live]
        for build in done[self._settings.builds_kept :]:
            await self.forget(build)

    async def _clear(self, build: Build) -> None:
        await asyncio.to_thread(shutil.rmtree, self.folder(build), ignore_errors=True)
        deployment = self._builds.deployment(build.id)
        image = remove_image_command(deployment.launch, self.folder(build)) if deployment is not None else None
        if image is not None:
            await run_quietly(*image, IMAGE)
        (self._settings.data / "logs" / f"build-{build.id}.ndjson").unlink(missing_ok=True)
        (self._settings.data / "modules" / f"{build.id}.json").unlink(missing_ok=True)

    def _thread_safe_log(self, build: Build) -> Callable[[str], None]:
        """Return a function that logs from any thread."""
        loop, log = asyncio.get_running_loop(), self.log(build)

        def say(line: str) -> None:
            if threading.get_ident() == here:
                log.add(line)
            else:
                loop.call_soon_threadsafe(log.add, line)

        here = threading.get_ident()
        return say

    def _current_state(self, build: Build) -> str:
        try:
            return self._builds.get(build.id).state
        except PlatformError:  # the disk, or the build is gone
            return ""

    def _name(self, build: Build) -> str:
        project = self._projects.get(build.project_id)
        return project.name if project is not None else build.project_id


def _last_printed(log: Log) -> list[str]:
    """Return the lines of the build's current step, or of its replica where one was started."""
    lines = [str(row.get("line", "")) for row in log.last(400)]
    replica_lines = [line.removeprefix(SAID) for line in lines if line.startswith(SAID)]
    if replica_lines:
        return replica_lines
    first = max((at for at, line in enumerate(lines) if re.match(r"step \d+/\d+: ", line)), default=0)
    return lines[first:]
