"""The rows of builds and of the deployments that they make.

queued -> building -> deploying -> live; failed or cancelled from any of the first three. A deployment is the result of
a build, under the build's id; it never changes, and a project points at the one that takes its traffic.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import delete, func, insert, select, update

from ..errors import Conflict, NotFound
from ..launch import Launch
from . import tables
from .projects import Project
from .store import Store

__all__ = ["FINAL_STATES", "Build", "Builds", "Deployment", "State"]

State = Literal["queued", "building", "deploying", "live", "failed", "cancelled"]
NEXT_STATES: dict[str, tuple[str, ...]] = {
    "queued": ("building", "failed", "cancelled"),
    "building": ("building", "deploying", "failed", "cancelled"),  # again, after the supervisor was killed
    "deploying": ("live", "failed", "cancelled"),
}
PRIVATE_COLUMNS = ("environment", "secrets")
FINAL_STATES = ("live", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Build:
    """One build as it is now.

    Attributes:
        number: Counts the builds of all projects.
        error: Why it failed, in a sentence; a second line, if there is one, is advice.
        source: A git URL, a folder, an archive or an image.
        builder: "process", "container", or None for the builder that fits.
        environment: Variables for the build and its replicas.
        secrets: Variables for its replicas alone.
        attempts: How often the build was begun.
        as_of: The day as of which open requirements are resolved, "now", or None for what the repository says.
    """

    id: str
    number: int
    project_id: str
    state: State
    error: str | None
    source: str
    builder: str | None
    environment: dict[str, str]
    secrets: dict[str, str] = field(repr=False)
    attempts: int
    created: float
    started: float | None
    finished: float | None
    as_of: str | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """An immutable version of a project."""

    id: str
    project_id: str
    launch: Launch
    created: float
    secrets: dict[str, str] = field(repr=False)


class Builds:
    """All builds.

    Attributes:
        on_change: Called with every build that is created or changes its state.
        revision: Grows with every change of a build.
    """

    def __init__(self, store: Store) -> None:
        self._store, self.revision = store, 0
        self.on_change: list[Callable[[Build], None]] = []
        table = tables.deployments
        with store.reading() as connection:
            rows = connection.execute(select(table.c.id, table.c.takes).where(table.c.takes.is_not(None)))
            self._concurrency: dict[str, int] = {row.id: row.takes for row in rows}
        self._deployments = dict[str, Deployment]()  # that were asked for

    def create(
        self,
        project: Project,
        source: str,
        *,
        id: str | None = None,
        builder: str | None = None,
        environment: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        as_of: str | None = None,
    ) -> Build:
        """Queue a build.

        Args:
            project: Its project.
            source: What to build.
            id: Its id, if it has one already.
            builder: "process" or "container"; None for the builder that fits.
            environment: Variables for the build and its replicas.
            secrets: Variables for its replicas alone.
            as_of: The day as of which open requirements are resolved.

        Raises:
            StoreError: No row could be written.
        """
        table = tables.builds
        with self._store.transaction() as connection:
            last = connection.scalar(select(func.max(table.c.number)))
            build = Build(
                id or str(uuid.uuid4()), (last or 0) + 1, project.id, "queued", None, source, builder,
                dict(environment or {}), dict(secrets or {}), 0, time.time(), None, None, as_of,
            )  # fmt: skip
            connection.execute(insert(table).values(_values(build)))
        self._notify(build)
        return build

    def get(self, id: str) -> Build:
        """Return the build of that id. Raises NotFound."""
        with self._store.reading() as connection:
            row = connection.execute(select(tables.builds).where(tables.builds.c.id == id)).one_or_none()
        if row is None:
            raise NotFound(f"there is no build {id[:100]}")
        return Build(*row)

    def list(self, project: Project | None = None, *, states: tuple[str, ...] = ()) -> list[Build]:
        """Return builds, newest first: of one project, and in some states alone, if these are given."""
        table = tables.builds
        query = select(table).order_by(table.c.number.desc())
        if project is not None:
            query = query.where(table.c.project_id == project.id)
        if states:
            query = query.where(table.c.state.in_(states))
        with self._store.reading() as connection:
            return [Build(*row) for row in connection.execute(query)]

    def latest(self, count: int, projects: Iterable[Project]) -> dict[str, list[Build]]:
        """Return the newest `count` builds of projects, by project id, without their secrets and environments."""
        table = tables.builds
        place = func.row_number().over(partition_by=table.c.project_id, order_by=table.c.number.desc()).label("place")
        columns = [column for column in table.columns if column.name not in PRIVATE_COLUMNS]
        ids = [project.id for project in projects]
        numbered = select(*columns, place).where(table.c.project_id.in_(ids)).subquery()
        query = select(numbered).where(numbered.c.place <= count).order_by(numbered.c.number.desc())
        found = dict[str, list[Build]]()
        with self._store.reading() as connection:
            for row in connection.execute(query):
                values = {column.name: getattr(row, column.name) for column in columns}
                found.setdefault(row.project_id, []).append(Build(**values, environment={}, secrets={}))
        return found

    def move(self, build: Build, state: State, *, error: str | None = None) -> Build:
        """Move a build to another state. Raises Conflict if that state cannot follow."""
        now = self.get(build.id)
        if state not in NEXT_STATES.get(now.state, ()):
            raise Conflict(f"the build is {now.state} and cannot become {state}")
        moment = time.time()
        moved = replace(
            now,
            state=state,
            error=error,
            attempts=now.attempts + (state == "building"),
            started=now.started or (moment if state == "building" else None),
            finished=moment if state in FINAL_STATES else None,
        )
        table = tables.builds
        with self._store.transaction() as connection:
            connection.execute(update(table).where(table.c.id == build.id).values(_values(moved)))
        self._notify(moved)
        return moved

    def add_deployment(self, build: Build, launch: Launch) -> Deployment:
        """Store the result of a build, in place of an earlier one of the same build, and return it."""
        table = tables.deployments
        deployment = Deployment(build.id, build.project_id, launch, time.time(), build.secrets)
        row = {
            "id": deployment.id,
            "project_id": deployment.project_id,
            "launch": launch.to_json(),
            "created": deployment.created,
        }
        with self._store.transaction() as connection:
            connection.execute(delete(table).where(table.c.id == deployment.id))
            connection.execute(insert(table).values(row))
        self._deployments.pop(deployment.id, None)
        return deployment

    def deployment(self, id: str) -> Deployment | None:
        """Return the deployment of that id, or None. One object serves all its replicas."""
        if (known := self._deployments.get(id)) is not None:
            return known
        table, built = tables.deployments, tables.builds
        query = select(table, built.c.secrets).join(built, built.c.id == table.c.id).where(table.c.id == id)
        with self._store.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        found = Deployment(row.id, row.project_id, Launch.from_json(row.launch), row.created, row.secrets)
        self._deployments[id] = found
        return found

    def concurrency_of(self, project: Project) -> int:
        """Return how many calls a replica of a project runs at once: its own setting, or what its app declares."""
        return project.concurrency or self._concurrency.get(project.live or "", 1)

    def record_concurrency(self, deployment: Deployment, concurrency: int) -> None:
        """Store what the app of a deployment declares, for when no replica of it runs."""
        table = tables.deployments
        with self._store.transaction() as connection:
            connection.execute(update(table).where(table.c.id == deployment.id).values(takes=concurrency))
        self._concurrency[deployment.id] = concurrency

    def forget(self, build: Build) -> None:
        """Delete a build and its deployment."""
        with self._store.transaction() as connection:
            connection.execute(delete(tables.builds).where(tables.builds.c.id == build.id))
        self._concurrency.pop(build.id, None)
        self._deployments.pop(build.id, None)
        self.revision += 1

    def _notify(self, build: Build) -> None:
        self.revision += 1
        for callback in self.on_change:
            callback(build)


def _values(build: Build) -> dict[str, Any]:
    return {column.name: getattr(build, column.name) for column in tables.builds.columns}
