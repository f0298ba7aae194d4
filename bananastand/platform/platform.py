"""The platform put together from its parts: what a user can do with it, without HTTP.

One supervisor at a time holds a data directory. Everything runs on one event loop.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from bananastand.task_set import TaskSet

from .build_packs import BuildPacks, RestoringNodes, store_quietly
from .building.deployer import Builder, Deployer
from .building.rebuilds import rebuild_missing
from .errors import PlatformError, Refused, StoreError
from .fronts.rows import FrontRow
from .metrics import Metrics
from .nodes import Nodes
from .reclaiming import prune_regularly, remove_project_files
from .replicas.client import Headers
from .replicas.local_machine import LocalMachine
from .replicas.orphans import end_orphans
from .replicas.pool import Pool
from .replicas.reaper import start_reaper, stop_reaper
from .replicas.replica import Replica
from .replicas.start_command import PLATFORM_VARIABLE
from .scheduling.dispatcher import Dispatcher
from .scheduling.pending_call import PendingCall, Session
from .scheduling.scaling_loop import ScalingLoop
from .settings import Settings
from .store.blob_storage import BlobStorage
from .store.bodies import BodyReceiver, FileBody
from .store.builds import Build, Builds
from .store.calls import JSON_BODY, Calls
from .store.directory import lock_directory
from .store.identity import identity_of, settle
from .store.keys import Keys
from .store.logs import Log
from .store.opening import close_store, open_store
from .store.private_files import make_folder, make_private
from .store.projects import Project, Projects
from .store.relocation import relocate
from .store.storable import check_text
from .store.store import Store
from .store.uploads import Uploads

__all__ = ["MakeNodes", "Platform"]

MakeNodes = Callable[[Settings, str], Nodes]

EXPIRY_SECONDS = 600.0  # between two deletions of expired results
LOG_BYTES = 4 * 2**20  # of a project's log
PASSWORD = re.compile(r"(?<=://)[^/\s@]+(?=@)")
MAX_VARIABLES = 200  # of one deploy
MAX_SOURCE = 2000  # characters
MAX_VARIABLE = 100_000  # characters of a value
PRIVATE_FOLDERS = ("logs", "bodies", "uploads", "git", "modules", "proxy")


class Platform:
    """Projects, builds, replicas and calls of one data directory, from `start` to `close`.

    Args:
        settings: How it behaves.
        builder: Builds what is deployed.
        make_nodes: Makes the nodes of its replicas from the settings and the id of the data directory.
        store: Its database, of which this is the active front; None to open the one of the settings.

    Attributes:
        fronts: Lists the fronts that share the database, if it is one that several share.

    Raises:
        Conflict: Another supervisor holds the directory, or the database.
        StoreError: Its database cannot be used.
    """

    def __init__(
        self, settings: Settings, builder: Builder, make_nodes: MakeNodes = LocalMachine, *, store: Store | None = None
    ) -> None:
        make_folder(settings.data).chmod(0o700)  # one that was made by hand is closed to others too
        self.settings = settings
        self._lock = lock_directory(settings.data)
        try:
            self.identity = identity_of(settings.data)
            self.store = store or open_store(settings, self.identity.id)
            self.blobs = BlobStorage(settings.data, settings.blobs, self.store.team, settings.keep_results)
            self.keys, self.projects, self.builds = Keys(self.store), Projects(self.store), Builds(self.store)
        except (PlatformError, OSError):
            os.close(self._lock)
            raise
        self.began = time.time()
        self._logs: dict[str, Log] = {}
        self.calls = Calls(self.store, self.blobs.bodies)
        self.bodies = BodyReceiver(self.blobs.bodies, settings.max_uploads)
        self.pool = Pool(settings, self.identity.id, self._log_line, nodes=make_nodes(settings, self.identity.id))
        self.build_packs: BuildPacks | None = None
        if self.blobs.packs is not None:
            self.build_packs = BuildPacks(settings.data, self.blobs.packs)
            self.pool.nodes = cast("Nodes", RestoringNodes(self.pool.nodes, self.build_packs))
            self.builds.on_change.append(self._store_version)
        self.dispatcher = Dispatcher(settings, self.calls, self.projects, self.pool)
        self.uploads = Uploads(settings.data / "uploads", self.blobs.uploads)
        self.deployer = Deployer(
            settings, self.projects, self.builds, self.pool, builder, self.uploads, self._notify_scaling
        )
        self.scaling = ScalingLoop(
            settings, self.projects, self.builds, self.pool, self.dispatcher, self.deployer.pending
        )
        self.metrics = Metrics(self.projects, self.pool, self.dispatcher)
        self.dispatcher.set_on_change(self.scaling.notify)
        self.pool.listeners.append(self._on_replica_change)
        self.pool.nodes.listeners.append(lambda: self.scaling.notify(None))
        self.builds.on_change.append(self.metrics.count_build)
        self.builds.on_change.append(lambda build: self._notify_scaling(build.project_id))
        self.projects.on_change.append(lambda project, exists: self._notify_scaling(project.id))
        self._tasks: list[asyncio.Task[None]] = []
        self._is_finished = False
        self._reaper: int | None = None
        self.fronts: Callable[[], Awaitable[Sequence[FrontRow]]] | None = None
        self._background = TaskSet()

    async def start(self) -> list[str]:
        """End orphaned processes, take up unfinished calls and builds, and begin to supervise.

        Returns:
            Sentences about what an earlier supervisor left.
        """
        await self.blobs.check()
        messages = await asyncio.to_thread(end_orphans, self.identity.id)
        self._reaper = await asyncio.to_thread(start_reaper, f"{PLATFORM_VARIABLE}={self.identity.id}")
        messages += await self.pool.nodes.open()
        if (earlier := self.identity.moved_from) is not None:
            await asyncio.to_thread(relocate, self.store, self.settings.data, earlier)
            settle(self.settings.data, self.identity)
            messages.append(f"the data directory was {earlier} before: its paths are mended")
        for name in PRIVATE_FOLDERS:  # an earlier version may have left them readable
            await asyncio.to_thread(make_private, self.settings.data / name)
        await self.calls.sweep()
        if calls := await self.dispatcher.recover():
            messages.append(f"took up {calls} calls that were not over")
        if builds := await self.deployer.recover():
            messages.append(f"took up {builds} builds that were not over")
        messages += await rebuild_missing(self)
        self._store_live_versions()
        self._tasks = [asyncio.create_task(self.scaling.run()), asyncio.create_task(self._delete_expired_results())]
        self._tasks.append(asyncio.create_task(prune_regularly(self)))
        return messages

    async def list_fronts(self) -> Sequence[FrontRow]:
        """Return all fronts that run; none where the database is this platform's own, or cannot be reached."""
        with suppress(StoreError):
            return await self.fronts() if self.fronts is not None else ()
        return ()

    def release_waiters(self) -> None:
        """End the wait of all callers, because the platform is about to stop; `close` must follow."""
        self.dispatcher.release_waiters()

    async def finish(self) -> None:
        """End all work but that of replicas, with a row for every call that goes on; `close` must follow."""
        if self._is_finished:
            return
        self._is_finished = True
        for task in self._tasks:
            task.cancel()
        await self._background.close()
        await self.deployer.close()
        await self.dispatcher.close()
        with suppress(StoreError):
            await self.store.flush()

    async def close(self, grace: float | None = None) -> None:
        """Stop everything. Running calls go back to the queue, for the next start of this data directory.

        Args:
            grace: Seconds that replicas have to stop; None for the setting.
        """
        await self.finish()
        await self.pool.stop_all(self.settings.stop_grace if grace is None else grace)
        for log in self._logs.values():
            log.close()
        await self.blobs.close()
        with suppress(StoreError):  # it is logged what is not written
            await self.store.finish()
        close_store(self.settings, self.store)
        if self._reaper is not None:
            stop_reaper(self._reaper)
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
        """Queue a build of a project, which is created if there is none of that name.

        Args:
            name: The project's name.
            source: A git URL, a folder, an archive or an image.
            environment: Variables for the build and its replicas.
            secrets: Variables for its replicas alone.
            builder: "process" or "container"; None for the builder that fits.
            as_of: The day as of which open requirements are resolved, or "now".
            archive: An uploaded archive, which takes the place of `source` and is moved.

        Raises:
            Refused: A name, variable, source or day is invalid.
            StoreError: No row can be written.
        """
        _check_day(as_of)
        environment, secrets = _variables("environment", environment), _variables("secrets", secrets)
        secrets = {**self.settings.secrets, **secrets}
        if not isinstance(source, str) or not source.strip() or len(source) > MAX_SOURCE or "\0" in source:
            raise Refused("source: must name a git URL, a folder, an archive or an image")
        texts = {"source": source, "environment": environment, "secrets": secrets, "builder": builder or ""}
        for field, value in texts.items():
            check_text(field, value)
        existing = self.projects.find(name)
        project = existing or self.projects.create(name)
        id = str(uuid.uuid4())
        if archive is not None:
            source = self._store_archive(id, archive)
        try:
            build = self.builds.create(
                project, source, id=id, builder=builder, environment=environment, secrets=secrets, as_of=as_of
            )
        except BaseException:
            self.deployer.archive(id).unlink(missing_ok=True)
            if existing is None:
                self.projects.remove(project)
            raise
        self.log_of(project).hide(secrets.values())
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
        """Queue a call; see Dispatcher.submit. Raises TooLarge, TooBusy, Conflict, Refused, StoreError."""
        return await self.dispatcher.submit(
            project,
            route,
            body,
            method=method,
            headers=headers,
            run_id=run_id,
            request_id=request_id,
            strict=strict,
            durable=durable,
            session=session,
        )

    async def remove(self, project: Project) -> None:
        """Delete a project with its builds, replicas, calls and logs."""
        replicas = await self._end_work(project)
        await asyncio.gather(*(replica.ended for replica in replicas))
        await self.deployer.clear(project)
        await remove_project_files(self, project)
        self.projects.remove(project)
        await self._end_work(project)  # what came meanwhile: builds, calls, and replicas that were started for them
        log = self.log_of(project)
        log.close()
        log.remove()
        self._logs.pop(project.id, None)

    def at_limit(self, project: Project) -> bool:
        """Return whether all replicas that a project may have are busy: then Banana refused calls on the run URL."""
        queue = self.dispatcher.queue(project.id)
        if project.live is None and not self.deployer.pending(project.id):
            return False  # such a call ends at once, with the reason
        concurrency = self.builds.concurrency_of(project)
        return len(queue.waiting) + len(queue.running) >= project.max_replicas * concurrency

    def problem(self, project: Project, builds: Sequence[Build] | None = None) -> str | None:
        """Return why a project does not serve as it should, in a sentence; None if nothing is known to be wrong.

        Args:
            project: The project.
            builds: Its builds, newest first, if the caller has them already.
        """
        if (failing := self.pool.failing.get(project.live or "")) is not None:
            return f"{failing.reason_and_advice} (its log: bananastand logs {project.name})"
        if (reason := self.pool.why_never(project)) is not None:
            return f"{reason}: add such a node, or ask for less: bananastand scale {project.name} --gpus auto --on ''"
        last = None
        if project.live is None:
            last = next(iter(self.builds.list(project) if builds is None else builds), None)
        if last is None or last.state != "failed":
            return None
        reason = (last.error or "it ended").partition("\n")[0]
        return f"its build failed: {reason} (its log: bananastand logs --build {last.id})"

    def source_of(self, build: Build) -> str:
        """Return a build's source for people to read, without the password of an address."""
        if build.source == str(self.deployer.archive(build.id)):
            return "an upload"
        return PASSWORD.sub("***", build.source)

    def log_of(self, project: Project) -> Log:
        """Return the log of a project's replicas."""
        if project.id not in self._logs:
            secrets = [value for build in self.builds.list(project) for value in build.secrets.values()]
            path = self.settings.data / "logs" / f"project-{project.id}.ndjson"
            self._logs[project.id] = Log(
                path,
                limit=LOG_BYTES,
                rotates=True,
                secrets=secrets,
                earlier=self.settings.earlier_lines(project.created),
            )
        return self._logs[project.id]

    async def _end_work(self, project: Project) -> list[Replica]:
        """Cancel the builds and calls of a project that is being removed, and stop and return its replicas."""
        await self.deployer.abandon(project)
        self.dispatcher.forget(project.id)
        replicas = self.pool.of_project(project.id)
        for replica in replicas:
            replica.stop("the project is removed", 0.0)
        return replicas

    def _store_archive(self, build_id: str, archive: Path) -> str:
        """Move an uploaded archive to where its build reads it; return that path."""
        path = self.deployer.archive(build_id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        archive.replace(path)
        return str(path)

    def _log_line(self, project_id: str, replica: str, line: str) -> None:
        project = self.projects.get(project_id)
        if project is not None:
            self.log_of(project).add(line, replica=replica)
            self.deployer.relay(replica, line)

    def _on_replica_change(self, replica: Replica) -> None:
        if replica.state == "ready":
            self.dispatcher.assign(replica.project_id)
        self._notify_scaling(replica.project_id)

    def _store_version(self, build: Build) -> None:
        """Begin to store the files of a version that goes live where other machines find them."""
        deployment = self.builds.deployment(build.id) if build.state == "live" else None
        if self.build_packs is not None and deployment is not None:
            self._background.start(store_quietly(self.build_packs, deployment.id, deployment.launch))

    def _store_live_versions(self) -> None:
        if self.build_packs is not None:
            for project in self.projects.list():
                if project.live is not None:
                    self._store_version(self.builds.get(project.live))

    def _notify_scaling(self, project_id: str) -> None:
        self.scaling.notify(project_id)

    async def _delete_expired_results(self) -> None:
        while True:
            with suppress(PlatformError):
                while await self.calls.forget_before(time.time() - self.settings.keep_results):
                    await asyncio.sleep(0)
            await asyncio.sleep(min(EXPIRY_SECONDS, self.settings.keep_results))


def _check_day(as_of: Any) -> None:
    """Check the day of a deploy. Raises Refused."""
    if as_of is None or as_of == "now":
        return
    try:
        datetime.fromisoformat(as_of)
    except (TypeError, ValueError):
        raise Refused(f'as_of: must be a date such as 2023-03-01, or "now", not {str(as_of)[:50]}') from None


def _variables(field: str, variables: Any) -> dict[str, str]:
    """Check the environment variables of a deploy and return them. Raises Refused."""
    if variables is None:
        return {}
    if not isinstance(variables, Mapping) or len(variables) > MAX_VARIABLES:
        raise Refused(f"{field}: must be an object of at most {MAX_VARIABLES} names and texts")
    for name, value in variables.items():
        if not isinstance(name, str) or not name.replace("_", "a").isalnum() or name[:1].isdigit():
            raise Refused(f"{field}: {str(name)[:50]!r} is no name of an environment variable")
        if not isinstance(value, str) or "\0" in value or len(value) > MAX_VARIABLE:
            raise Refused(f"{field}.{name}: must be text")
    return dict(variables)
