"""Takes builds from queued to live: builds, starts one replica of the new version, and moves the traffic when it is
healthy. Knows a builder as a function; a version that fails never takes traffic.

A build that a killed supervisor left is begun again. Builds of one project come one after the other.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import Conflict, PlatformError, Refused, ReplicaFailed, StoreError
from ..launch import Launch
from ..replicas.advice import explain
from ..replicas.pool import Pool
from ..replicas.process import quietly
from ..replicas.redirection import redirection_problem
from ..replicas.replica import Replica
from ..replicas.start_command import built_image, one_at_a_time
from ..settings import Settings
from ..store.builds import FINAL_STATES, Build, Builds, Deployment, State
from ..store.logs import Log, mask, plain, texts_to_mask
from ..store.projects import Project, Projects
from ..tracebacks import last_error

__all__ = ["Builder", "Deployer", "Order"]

logger = logging.getLogger("bananastand.platform")

RETRY = 1.0  # seconds before an end is recorded again that the disk did not take
IMAGE = 60.0  # seconds for an engine to remove an image
ATTEMPTS = 3  # of a build, where each time the supervisor was killed
SILENCE = 15.0  # seconds without a line before a build's log says that it goes on
SAID = "replica | "  # before a replica's own lines in the log of its build
ADVISED = "weights: "  # begins a builder's reason that says itself what to do
DOING = {"building": "building", "deploying": "starting a replica"}


@dataclass(frozen=True, slots=True)
class Order:
    """What a builder is given: the source as it was named, a folder of the build's own, and a way to say what it does.

    The environment reaches the build and its replicas; secrets must reach no layer and no log. `as_of` is the day as of
    which open requirements are resolved, "now", or None for what the repository says.
    """

    source: str
    folder: Path
    builder: str | None
    environment: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    log: Callable[[str], None]
    as_of: str | None = None


Builder = Callable[[Order], Awaitable[Launch]]


class Deployer:
    """All builds that are not over. `poke` is called when traffic has moved or a build is over."""

    def __init__(
        self, settings: Settings, projects: Projects, builds: Builds, pool: Pool, builder: Builder,
        poke: Callable[[], None],
    ) -> None:  # fmt: skip
        self._settings, self._projects, self._builds = settings, projects, builds
        self._pool, self._builder, self._poke = pool, builder, poke
        self._waiting: list[Build] = []
        self._at_work: dict[str, asyncio.Task[None]] = {}  # by project
        self._current: dict[str, Build] = {}
        self._logs: dict[str, Log] = {}
        self._trials: dict[str, Log] = {}  # by the replica with which a new version proves itself

    async def recover(self) -> int:
        """Take up the builds that an earlier supervisor left; how many."""
        left = sorted(self._builds.list(states=("queued", "building", "deploying")), key=lambda each: each.number)
        for build in left:
            if build.attempts >= ATTEMPTS:
                await self._fail(build, f"the stand was killed {build.attempts} times while it built")
            else:
                self._waiting.append(build)
        self._next()
        return len(left)

    def take(self, build: Build) -> None:
        """A new build."""
        self.log(build).add(f"build {build.id} of {self._name(build)} is queued")
        self._waiting.append(build)
        self._next()

    def pending(self, project_id: str) -> bool:
        """Whether a build of the project may yet go live."""
        return project_id in self._at_work or any(each.project_id == project_id for each in self._waiting)

    def log(self, build: Build) -> Log:
        """A build's log; that of a build that is over is closed."""
        known = self._logs.get(build.id)
        if known is None:
            path = self._settings.data / "logs" / f"build-{build.id}.ndjson"
            known = Log(path, limit=self._settings.build_log, secrets=build.secrets.values())
            if build.state in FINAL_STATES:
                known.close()
            else:
                self._logs[build.id] = known
        return known

    def relay(self, replica: str, line: str) -> None:
        """A replica's line, which belongs in the log of its build while the new version proves itself."""
        log = self._trials.get(replica)
        if log is not None and not line.startswith("failed: "):  # the end of the build repeats it
            log.add(f"{SAID}{plain(line)}")

    async def cancel(self, build: Build) -> Build:
        """Call a build off. Raises Conflict where it is over."""
        if build in self._waiting:
            self._waiting.remove(build)
            return await self._over(build, "cancelled")
        task = self._at_work.get(build.project_id)
        if task is None or self._current.get(build.project_id, build).id != build.id:
            raise Conflict(f"the build is {build.state} already")
        task.cancel("cancelled")
        await asyncio.wait({task})
        return self._builds.get(build.id)

    def rollback(self, project: Project, build_id: str | None) -> Build:
        """Point the traffic at an earlier version, the last but one if none is named. Raises Refused, NotFound."""
        done = [each for each in self._builds.list(project) if each.state == "live" and each.id != project.live]
        if build_id is None:
            now = self._builds.get(project.live).number if project.live else 0
            build = next((each for each in done if each.number < now), None)
        else:
            build = next((each for each in done if each.id == build_id), None)
        deployment = self._builds.deployment(build.id) if build is not None else None
        if build is None or deployment is None:
            raise Refused("there is no earlier version to go back to" if build_id is None else "no such version")
        self._point(project, deployment)
        return build

    async def forget(self, build: Build) -> None:
        """Remove a build that is over, with what it has made."""
        await self._clear(build)
        self._builds.forget(build)

    async def abandon(self, project: Project) -> None:
        """A project is to be removed: its builds end."""
        for build in [each for each in self._waiting if each.project_id == project.id]:
            self._waiting.remove(build)
        if task := self._at_work.get(project.id):
            task.cancel("cancelled")
            await asyncio.wait({task})

    async def clear(self, project: Project) -> None:
        """Remove what its builds have made."""
        for build in self._builds.list(project):
            await self._clear(build)

    async def close(self) -> None:
        """What is being built is begun again when a stand starts here."""
        self._waiting.clear()
        tasks = list(self._at_work.values())
        for task in tasks:
            task.cancel("closing")
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in self._logs.values():
            each.close()

    def folder(self, build: Build) -> Path:
        """What a build may write to, kept while its deployment lives."""
        return self._settings.data / "builds" / build.id

    def archive(self, build_id: str) -> Path:
        """Where an uploaded source waits for its build."""
        return self._settings.data / "uploads" / f"{build_id}.tar.gz"

    def _next(self) -> None:
        for build in list(self._waiting):
            if len(self._at_work) >= self._settings.builds_at_once:
                return
            if build.project_id not in self._at_work:
                self._waiting.remove(build)
                self._current[build.project_id] = build
                self._at_work[build.project_id] = asyncio.create_task(self._work(build), name=f"build {build.id}")

    async def _work(self, build: Build) -> None:
        signs = asyncio.create_task(self._give_signs_of_life(build))
        try:
            deployment = self._builds.deployment(build.id) if build.state == "deploying" else None
            if deployment is None:
                deployment = await self._build(build)
            await self._deploy(build, deployment)
        except asyncio.CancelledError as error:
            if error.args == ("closing",):
                raise
            await self._over(build, "cancelled")
        except PlatformError as error:
            await self._fail(build, str(error))
        except Exception as error:
            logger.exception("build %s failed", build.id)
            await self._fail(build, f"{type(error).__name__}: {error}")
        finally:
            signs.cancel()
            self._at_work.pop(build.project_id, None)
            self._current.pop(build.project_id, None)
            self._next()
            self._poke()

    async def _build(self, build: Build) -> Deployment:
        build, limit = self._builds.move(build, "building"), self._settings.build_timeout
        say = self._teller(build)
        folder = self.folder(build)
        if build.attempts > 1:
            say("begun again: the stand was killed while it built")
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        order = Order(build.source, folder, build.builder, build.environment, build.secrets, say, build.as_of)
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
        """Have the new version prove itself, then let it take the traffic."""
        project, say = self._projects.named(build.project_id), self.log(build).add
        say("built; starting a replica")
        if one_at_a_time(deployment.launch) and self._pool.of(project.id):
            why = f"ports cannot be moved here ({redirection_problem()})"
            say(f"the app fixes its port, and {why}: the old version stops before the new one starts")
            for each in self._pool.of(project.id):
                each.drain("a new version takes its port")
            await asyncio.gather(*(each.over for each in self._pool.of(project.id)))
        replica = self._pool.start(project, deployment, share=True)
        if replica is None:
            raise ReplicaFailed("no replica can be started: its port is taken")
        self._trials[replica.id] = self.log(build)
        try:
            await asyncio.shield(replica.ready)
        except ReplicaFailed as error:
            if project.live is None:
                raise
            raise ReplicaFailed(f"the new version takes no traffic, the one before stays live: {error}") from error
        finally:
            if replica.state != "ready":
                replica.stop("its version does not go live", 0.0)
            self._trials.pop(replica.id, None)
        try:
            self._builds.record_concurrency(deployment, replica.takes)
            self._point(self._projects.named(build.project_id), deployment, trial=replica)
        except PlatformError:  # the disk is full, or the project is gone
            replica.stop("its version does not go live", 0.0)
            raise
        say(f"live; its first replica took {replica.took or 0.0:.2f} s to start")
        await self._over(build, "live")
        await self._forget_old(project)

    def _point(self, project: Project, deployment: Deployment, trial: Replica | None = None) -> None:
        """Move the traffic; replicas of other versions finish what they have."""
        self._pool.failing.pop(deployment.id, None)
        self._projects.point(project, deployment.id)
        for each in self._pool.of(project.id):
            if each.deployment.id != deployment.id:
                each.drain(f"version {deployment.id[:8]} takes the traffic")
        if trial is not None:
            trial.say("takes the traffic")
        self._poke()

    async def _fail(self, build: Build, reason: str) -> Build:
        """Record why, in a sentence, and what to do about it, where that is known."""
        log, secret = self.log(build), texts_to_mask(build.secrets.values())
        printed, source = _last_printed(log), self.folder(build) / "source"
        if "ended with status" in reason and (error := last_error(printed)) and error.message not in reason:
            reason = f"{reason}; its last error: {error.sentence(source)}"
        reason = mask(plain(reason).replace("\n", " "), secret)
        log.add(f"error: {reason}")
        step = explain([*printed, reason], source, build.environment) if ADVISED not in reason else None
        if step is None:
            return await self._over(build, "failed", reason)
        step = mask(plain(step), secret)
        log.add(f"advice: {step}")
        return await self._over(build, "failed", f"{reason}\n{step}")

    async def _give_signs_of_life(self, build: Build) -> None:
        """Have the log say every now and then that the build goes on: nobody looks at silence for ten minutes."""
        log, began = self.log(build), time.monotonic()
        while not log.closed:
            await asyncio.sleep(max(0.05, log.changed + SILENCE - time.monotonic()))
            doing = DOING.get(self._doing(build))
            if doing is not None and time.monotonic() - log.changed >= SILENCE:
                most = f", {self._settings.start_timeout:g} s at most" if doing == DOING["deploying"] else ""
                log.add(f"still {doing}: {time.monotonic() - began:.0f} s since the build began{most}")

    async def _over(self, build: Build, state: State, error: str | None = None) -> Build:
        """Record the end; where the disk is full, as soon as it no longer is."""
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
        self.archive(build.id).unlink(missing_ok=True)
        return build

    async def _forget_old(self, project: Project) -> None:
        done = [each for each in self._builds.list(project) if each.state == "live" and each.id != project.live]
        for build in done[self._settings.builds_kept :]:
            await self.forget(build)

    async def _clear(self, build: Build) -> None:
        await asyncio.to_thread(shutil.rmtree, self.folder(build), ignore_errors=True)
        deployment = self._builds.deployment(build.id)
        image = built_image(deployment.launch, self.folder(build)) if deployment is not None else None
        if image is not None:
            await quietly(*image, IMAGE)
        (self._settings.data / "logs" / f"build-{build.id}.ndjson").unlink(missing_ok=True)
        (self._settings.data / "modules" / f"{build.id}.json").unlink(missing_ok=True)

    def _teller(self, build: Build) -> Callable[[str], None]:
        """A way to the build's log that may be used from any thread."""
        loop, log = asyncio.get_running_loop(), self.log(build)

        def say(line: str) -> None:
            if threading.get_ident() == here:
                log.add(line)
            else:
                loop.call_soon_threadsafe(log.add, line)

        here = threading.get_ident()
        return say

    def _doing(self, build: Build) -> str:
        try:
            return self._builds.get(build.id).state
        except PlatformError:  # the disk, or the build is gone
            return ""

    def _name(self, build: Build) -> str:
        project = self._projects.get(build.project_id)
        return project.name if project is not None else build.project_id


def _last_printed(log: Log) -> list[str]:
    """The lines of the step that a build is at: those of its replica, where one was started."""
    lines = [str(row.get("line", "")) for row in log.last(400)]
    said = [line.removeprefix(SAID) for line in lines if line.startswith(SAID)]
    if said:
        return said
    first = max((at for at, line in enumerate(lines) if re.match(r"step \d+/\d+: ", line)), default=0)
    return lines[first:]
