"""The platform's real parts over fake replicas and disks: one life of its process, on a database that outlives it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from bananastand.platform.launch import Launch
from bananastand.platform.replicas.pool import Pool
from bananastand.platform.replicas.replica import Replica
from bananastand.platform.scheduling.dispatcher import Dispatcher
from bananastand.platform.scheduling.scaling_loop import ScalingLoop
from bananastand.platform.settings import Settings
from bananastand.platform.store.blobs import Blobs
from bananastand.platform.store.builds import Builds
from bananastand.platform.store.calls import Calls
from bananastand.platform.store.database import SqliteStore
from bananastand.platform.store.projects import Project, Projects
from bananastand.platform.store.writer import Writer, _Write  # pyright: ignore[reportPrivateUsage]

from .loop import PowerCut
from .nodes import SimulatedNodes
from .world import World

__all__ = ["SimulatedPlatform", "SimulatedWriter", "add_live_version", "prepare"]

NAME = "app"
# Whatever code writes it: an end that is recorded never changes.
TRIGGER = """
CREATE TABLE changed_ends (id TEXT);
CREATE TRIGGER keeper AFTER UPDATE ON calls WHEN OLD.state IN ('succeeded', 'failed') AND (NEW.state != OLD.state
OR NEW.status IS NOT OLD.status OR NEW.answer IS NOT OLD.answer OR NEW.error IS NOT OLD.error)
BEGIN INSERT INTO changed_ends VALUES (OLD.id); END;
"""


def prepare(data: Path, world: World) -> None:
    """Create a data directory with a project and its live version."""
    store = SqliteStore(data / "stand.sqlite")
    projects, builds, profile = Projects(store), Builds(store), world.profile
    project = projects.create(
        NAME, min_replicas=profile.replicas_least, max_replicas=profile.replicas_most,
        inference_timeout=profile.inference_timeout, idle_timeout=5, concurrency=profile.concurrency,
    )  # fmt: skip
    add_live_version(projects, builds, project)
    store.close()
    connection = sqlite3.connect(data / "stand.sqlite")
    connection.executescript(TRIGGER)
    connection.close()


def add_live_version(projects: Projects, builds: Builds, project: Project) -> None:
    """Give a project a version that takes its traffic."""
    build = builds.create(project, "simulated")
    for state in ("building", "deploying"):
        builds.move(build, state)
    builds.add_deployment(build, Launch("process", ("python3", "app.py"), "/", python="/usr/bin/python3"))
    builds.move(build, "live")
    projects.point(project, build.id)


class SimulatedPlatform:
    """One life of the process; it is killed after `kill_after` writes, if that is given."""

    def __init__(self, data: Path, world: World, kill_after: int | None = None) -> None:
        self._world, profile = world, world.profile
        self.settings = Settings(
            data=data, fork_servers=0, attempts=profile.attempts, start_timeout=20.0, drain_timeout=10.0,
            background_timeout=20.0, liveness_interval=3.0, liveness_timeout=6.0,
        )  # fmt: skip
        self.writes, self._kill_after = 0, kill_after
        self.store = SqliteStore(data / "stand.sqlite", make_writer=self._make_writer)
        self._peek = sqlite3.connect(data / "stand.sqlite")
        self.projects, self.builds = Projects(self.store), Builds(self.store)
        self.calls = Calls(self.store, Blobs(data / "bodies"))
        self.nodes = SimulatedNodes(world, self.is_over, profile.nodes, profile.gpus)
        self.pool = Pool(self.settings, self.store.id, self._say, nodes=self.nodes)
        self.dispatcher = Dispatcher(self.settings, self.calls, self.projects, self.pool)
        self.scaling = ScalingLoop(
            self.settings, self.projects, self.builds, self.pool, self.dispatcher, lambda project: False
        )
        self.dispatcher.set_on_change(self.scaling.notify)
        self.pool.listeners.append(self._replica_changed)
        self.nodes.listeners.append(lambda: self.scaling.notify(None))
        self.project_id = self.project.id
        self._scaling: asyncio.Task[None] | None = None

    @property
    def project(self) -> Project:
        """The only project."""
        return self.projects.named(NAME)

    async def start(self) -> None:
        """Take up what an earlier life has left, and begin to supervise."""
        self._world.faults = 0
        await self.nodes.open()
        await self.calls.sweep()
        taken_up = await self.dispatcher.recover()
        self._world.note("platform", f"starts and takes up {taken_up} calls")
        self._scaling = asyncio.create_task(self.scaling.run())

    async def stop(self) -> None:
        """Stop as on SIGTERM."""
        self._world.note("platform", "stops")
        self.dispatcher.release_waiters()
        if self._scaling is not None:
            self._scaling.cancel()
        await self.dispatcher.close()
        await self.pool.stop_all(1.0)
        self.close()

    def close(self) -> None:
        """Close the database, so that tasks of a dead process reach nothing."""
        self._world.dead = True
        self.dispatcher.stop_assigning()
        self.store.close()
        self._peek.close()

    def is_over(self, run_id: str) -> bool:
        """Return whether a call's end is recorded."""
        row = self._peek.execute("SELECT state FROM calls WHERE run_id = ?", (run_id,)).fetchone()
        return row is None or row[0] in ("succeeded", "failed")

    def written(self) -> None:
        """Count a write that begins or has ended, after which the process may be killed."""
        self.writes += 1
        if self._kill_after is not None and self.writes >= self._kill_after and not self._world.dead:
            self._world.note("platform", "is killed between two writes")
            self._world.dead = True
            raise PowerCut

    def _say(self, project_id: str, replica: str, line: str) -> None:
        self._world.note(f"replica {replica[:6]}", line)

    def _replica_changed(self, replica: Replica) -> None:
        if replica.state == "ready":
            self.dispatcher.assign(replica.project_id)
        self.scaling.notify(replica.project_id)

    def _make_writer(self, connection: Connection, lock: threading.Lock, database: Path) -> Writer:
        return SimulatedWriter(connection, lock, database, self._world, self.written)


class SimulatedWriter(Writer):
    """Writes and syncs on the loop, a little later; the disk fails now and then, and is full for a while."""

    def __init__(
        self, connection: Connection, lock: threading.Lock, database: Path, world: World, written: Callable[[], None]
    ) -> None:
        super().__init__(connection, lock, database)
        self._world, self._written = world, written
        self._full_until = self._last = 0.0
        self._pending = 0

    async def _request(self, work: Callable[[Connection], Any] | None) -> Any:
        loop = asyncio.get_running_loop()
        write = _Write(work, loop, loop.create_future(), loop.time())
        self._pending += 1
        self._last = max(self._last, loop.time() + self._world.soon(0.003)) + 1e-6  # in the order of the requests
        loop.call_at(self._last, self._commit_one, write)
        return await write.future

    @property
    def is_busy(self) -> bool:
        return self._pending > 0 or self._world.chance.random() < 0.3  # so that leases take both ways

    def _commit_one(self, write: _Write) -> None:
        world = self._world
        if world.dead:
            return
        self._pending -= 1
        self._written()
        if world.happens(world.profile.disk_outage):
            self._full_until = world.now + world.chance.choice((1.0, 10.0, 60.0))
            world.note("disk", f"is full until {self._full_until:.3f}")
        if world.happens(world.profile.disk_failure) or (world.now < self._full_until and not world.healing):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            write.error = error
        elif write.work is not None:
            self._commit([write])
            self._written()
        if not write.future.done():
            if write.error is not None:
                write.future.set_exception(write.error)
            else:
                write.future.set_result(write.result)
