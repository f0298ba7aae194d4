"""The local Banana put together: what a user can ask of it, in one place. Knows no HTTP of its callers.

One supervisor at a time holds a data directory. Everything runs on one event loop.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from .building.deployer import Builder, Deployer
from .building.rebuilding import rebuild_missing
from .errors import PlatformError, Refused
from .metrics import Metrics
from .reclaiming import forget_project, prune_regularly
from .replicas.client import Headers
from .replicas.orphans import end_orphans
from .replicas.pool import Pool
from .replicas.replica import Replica
from .scheduling.dispatcher import Dispatcher
from .scheduling.pending_call import PendingCall, Session
from .scheduling.scaling_loop import Scaling
from .settings import Settings
from .store.blobs import Blobs
from .store.bodies import BodyReceiver, FileBody
from .store.builds import Build, Builds
from .store.calls import JSON_BODY, Calls
from .store.database import Store
from .store.database_guard import check_database, note_start, note_stop
from .store.directory import lock_directory
from .store.identity import identity_of, settle
from .store.keys import Keys
from .store.logs import Log
from .store.private_files import make_folder, make_private
from .store.projects import Project, Projects
from .store.relocation import relocate
from .store.storable import check_text

__all__ = ["Platform"]

SWEEP = 600.0  # seconds between two looks for results that are too old
REPLICA_LOG = 4 * 2**20
PASSWORD = re.compile(r"(?<=://)[^/\s@]+(?=@)")
NAMED_BY_USER = 200  # environment variables and secrets of one deploy


class Platform:
    """Open until `close`. `start` takes up what an earlier supervisor left; before it nothing runs.

    Raises Conflict where another supervisor holds the directory, StoreError where its database cannot be used.
    """

    def __init__(self, settings: Settings, builder: Builder) -> None:
        make_folder(settings.data).chmod(0o700)  # one that was made by hand is closed to others too
        self.settings = settings
        self._lock = lock_directory(settings.data)
        try:
            self.identity = identity_of(settings.data)
            check_database(settings.data)
            self.store = Store(settings.data / "stand.sqlite")
            note_start(settings.data)
            self.store.identify(self.identity.id)
            self.keys, self.projects, self.builds = Keys(self.store), Projects(self.store), Builds(self.store)
        except (PlatformError, OSError):
            os.close(self._lock)
            raise
        self.began = time.time()
        self._logs: dict[str, Log] = {}
        blobs = Blobs(settings.data / "bodies")
        self.calls, self.bodies = Calls(self.store, blobs), BodyReceiver(blobs, settings.max_uploads)
        self.pool = Pool(settings, self.store.id, self._replica_says)
        self.dispatcher = Dispatcher(settings, self.calls, self.projects, self.pool)
        self.deployer = Deployer(settings, self.projects, self.builds, self.pool, builder, self._poke)
        self.scaling = Scaling(settings, self.projects, self.builds, self.pool, self.dispatcher, self.deployer.pending)
        self.metrics = Metrics(self.projects, self.pool, self.dispatcher, len(settings.gpus))
        self.dispatcher.changed = self._poke
        self.pool.listeners.append(self._replica_changed)
        self.builds.changed.append(self.metrics.built)
        self.projects.changed.append(lambda project, there: self._poke())
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> list[str]:
        """End orphans, take up calls and builds, and begin to supervise. What was found, in words."""
        found = await asyncio.to_thread(end_orphans, self.store.id)
        if (was := self.identity.moved_from) is not None:
            await asyncio.to_thread(relocate, self.store, self.settings.data, was)
            settle(self.settings.data, self.identity)
            found.append(f"the data directory was {was} before: its paths are mended")
        for name in ("logs", "bodies", "uploads", "git", "modules", "proxy"):  # as an earlier version left them
            await asyncio.to_thread(make_private, self.settings.data / name)
        self.calls.sweep()
        if calls := self.dispatcher.recover():
            found.append(f"took up {calls} calls that were not over")
        if builds := await self.deployer.recover():
            found.append(f"took up {builds} builds that were not over")
        found += await rebuild_missing(self)
        self._tasks = [asyncio.create_task(self.scaling.run()), asyncio.create_task(self._sweep())]
        self._tasks.append(asyncio.create_task(prune_regularly(self)))
        return found

    def release_waiters(self) -> None:
        """Tell all who wait that the stand is about to stop; to be followed by `close`."""
        self.dispatcher.release_waiters()

    async def close(self, grace: float | None = None) -> None:
        """Stop everything. Calls at work go back to the queue, and are done when a stand starts here again."""
        for task in self._tasks:
            task.cancel()
        await self.deployer.close()
        await self.dispatcher.close()
        await self.pool.stop_all(self.settings.stop_grace if grace is None else grace)
        for log in self._logs.values():
            log.close()
        self.store.close()
        note_stop(self.settings.data)
        os.close(self._lock)

    def deploy(
        self,
        name: str,
        source: Any,
        *,
        environment: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        builder: str | None = None,
        as_of: str | None = None,
        archive: Path | None = None,
    ) -> Build:
        """Queue a build of a project, made if there is none of that name. An archive is taken over.

        Raises Refused for a name, environment, source or day that is none, StoreError where no row can be written.
        """
        _check_day(as_of)
        environment, secrets = _variables("environment", environment), _variables("secrets", secrets)
        secrets = {**self.settings.secrets, **secrets}
        if not isinstance(source, str) or not source.strip() or len(source) > 2000 or "\0" in source:
            raise Refused("source: must name a git URL, a folder, an archive or an image")
        for what, value in (
            ("source", source),
            ("environment", environment),
            ("secrets", secrets),
            ("builder", builder),
        ):
            check_text(what, value or "")
        known = self.projects.find(name)
        project = known or self.projects.create(name)
        id = str(uuid.uuid4())
        if archive is not None:
            place = self.deployer.archive(id)
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            archive.replace(place)
            source = str(place)
        try:
            build = self.builds.create(
                project, source, id=id, builder=builder, environment=environment, secrets=secrets, as_of=as_of
            )
        except BaseException:
            self.deployer.archive(id).unlink(missing_ok=True)
            if known is None:
                self.projects.remove(project)
            raise
        self._log_of(project).hide(secrets.values())
        self.deployer.take(build)
        return build

    async def submit(
        self,
        project: Project,
        route: str,
        body: bytes | FileBody,
        *,
        method: str = "POST",
        headers: Headers = JSON_BODY,
        run_id: str | None = None,
        request_id: str | None = None,
        strict: bool = False,
        durable: bool = True,
        session: Session | None = None,
    ) -> PendingCall:
        """Queue a call; see Dispatcher.submit. Raises TooLarge, TooBusy, Conflict, StoreError."""
        return await self.dispatcher.submit(
            project, route, body, method=method, headers=headers, run_id=run_id, request_id=request_id,
            strict=strict, durable=durable, session=session,
        )  # fmt: skip

    async def remove(self, project: Project) -> None:
        """A project with its builds, replicas, calls and logs."""
        await self.deployer.abandon(project)
        self.dispatcher.forget(project.id)
        replicas = self.pool.of_project(project.id)
        for each in replicas:
            each.stop("the project is removed", 0.0)
        await asyncio.gather(*(each.ended for each in replicas))
        await self.deployer.clear(project)
        await forget_project(self, project)
        self.projects.remove(project)
        await self._end_latecomers(project)
        log = self._log_of(project)
        log.close()
        log.remove()
        self._logs.pop(project.id, None)

    async def _end_latecomers(self, project: Project) -> None:
        """What came while a project was being removed: builds, calls, and replicas that were started for them."""
        await self.deployer.abandon(project)
        self.dispatcher.forget(project.id)
        for each in self.pool.of_project(project.id):
            each.stop("the project is removed", 0.0)

    def at_limit(self, project: Project) -> bool:
        """Whether all replicas that the project may have are at work: then Banana refused calls on the run URL."""
        line = self.dispatcher.line(project.id)
        if project.live is None and not self.deployer.pending(project.id):
            return False  # such a call ends at once, with the reason
        slots = project.concurrency or self.builds.takes(project.live)
        return len(line.waiting) + len(line.at_work) >= project.max_replicas * slots

    def problem(self, project: Project, builds: Sequence[Build] | None = None) -> str | None:
        """Why it does not serve as it should, in words; None where nothing is known to be wrong.

        builds: its builds, newest first, where they are at hand.
        """
        if (failing := self.pool.failing.get(project.live or "")) is not None:
            return f"{failing.reason_and_advice} (its log: bananastand logs {project.name})"
        last = None
        if project.live is None:
            last = next(iter(self.builds.list(project) if builds is None else builds), None)
        if last is None or last.state != "failed":
            return None
        reason = (last.error or "it ended").partition("\n")[0]
        return f"its build failed: {reason} (its log: bananastand logs --build {last.id})"

    def source_of(self, build: Build) -> str:
        """What a build is of, for people: without the password of an address."""
        return (
            "an upload" if build.source == str(self.deployer.archive(build.id)) else PASSWORD.sub("***", build.source)
        )

    def log_of(self, project: Project) -> Log:
        """The lines of all its replicas."""
        return self._log_of(project)

    def _log_of(self, project: Project) -> Log:
        if project.id not in self._logs:
            secrets = [value for build in self.builds.list(project) for value in build.secrets.values()]
            path = self.settings.data / "logs" / f"project-{project.id}.ndjson"
            self._logs[project.id] = Log(path, limit=REPLICA_LOG, turns=True, secrets=secrets)
        return self._logs[project.id]

    def _replica_says(self, project_id: str, replica: str, line: str) -> None:
        project = self.projects.get(project_id)
        if project is not None:
            self._log_of(project).add(line, replica=replica)
            self.deployer.relay(replica, line)

    def _replica_changed(self, replica: Replica) -> None:
        if replica.state == "ready":
            self.dispatcher.hand_out(replica.project_id)
        self._poke()

    def _poke(self) -> None:
        self.scaling.poke()

    async def _sweep(self) -> None:
        """Forget old results."""
        while True:
            with suppress(PlatformError):
                while await self.calls.forget_before(time.time() - self.settings.keep_results):
                    await asyncio.sleep(0)
            await asyncio.sleep(min(SWEEP, self.settings.keep_results))


def _check_day(as_of: Any) -> None:
    """Raises Refused."""
    if as_of is None or as_of == "now":
        return
    try:
        datetime.fromisoformat(as_of)
    except (TypeError, ValueError):
        raise Refused(f'as_of: must be a date such as 2023-03-01, or "now", not {str(as_of)[:50]}') from None


def _variables(what: str, given: Any) -> dict[str, str]:
    """Environment variables by name. Raises Refused."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or len(given) > NAMED_BY_USER:
        raise Refused(f"{what}: must be an object of at most {NAMED_BY_USER} names and texts")
    for name, value in given.items():
        if not isinstance(name, str) or not name.replace("_", "a").isalnum() or name[:1].isdigit():
            raise Refused(f"{what}: {str(name)[:50]!r} is no name of an environment variable")
        if not isinstance(value, str) or "\0" in value or len(value) > 100_000:
            raise Refused(f"{what}.{name}: must be text")
    return dict(given)
