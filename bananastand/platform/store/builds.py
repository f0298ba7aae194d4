"""Builds and the deployments they make. Knows rows and states; builds nothing.

queued -> building -> deploying -> live; failed or cancelled from each of the first three. A deployment is what a build
made, under the build's id; it never changes, and a project points at the one that takes its traffic.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import delete, func, insert, select, update

from ..errors import Conflict, NotFound
from ..launch import Launch
from . import tables
from .database import Store
from .projects import Project

__all__ = ["OVER", "Build", "Builds", "Deployment", "State"]

State = Literal["queued", "building", "deploying", "live", "failed", "cancelled"]
NEXT: dict[str, tuple[str, ...]] = {
    "queued": ("building", "failed", "cancelled"),
    "building": ("building", "deploying", "failed", "cancelled"),  # again, after the supervisor was killed
    "deploying": ("live", "failed", "cancelled"),
}
HELD_BACK = ("environment", "secrets")
OVER = ("live", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Build:
    """One build as it is now. `secrets` and `environment` reach the replicas, `environment` the build as well.

    error: why it failed, in a sentence; a second line, if there is one, is advice. as_of: the day as of which open
    requirements are resolved, "now", or None for what the repository says.
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
    """All builds. `changed` is told of each that is made or changes its state."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.changed: list[Callable[[Build], None]] = []
        table = tables.deployments
        with store.reading() as connection:
            rows = connection.execute(select(table.c.id, table.c.takes).where(table.c.takes.is_not(None)))
            self._takes: dict[str, int] = {row.id: row.takes for row in rows}

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
        """Queue one. Raises StoreError: then there is none."""
        table = tables.builds
        with self._store.transaction() as connection:
            last = connection.scalar(select(func.max(table.c.number)))
            build = Build(
                id or str(uuid.uuid4()), (last or 0) + 1, project.id, "queued", None, source, builder,
                dict(environment or {}), dict(secrets or {}), 0, time.time(), None, None, as_of,
            )  # fmt: skip
            connection.execute(insert(table).values(_values(build)))
        self._tell(build)
        return build

    def get(self, id: str) -> Build:
        """The build of that id. Raises NotFound."""
        with self._store.reading() as connection:
            row = connection.execute(select(tables.builds).where(tables.builds.c.id == id)).one_or_none()
        if row is None:
            raise NotFound(f"there is no build {id[:100]}")
        return Build(*row)

    def list(self, project: Project | None = None, *, states: tuple[str, ...] = ()) -> list[Build]:
        """Newest first; of one project, or in these states alone."""
        table = tables.builds
        query = select(table).order_by(table.c.number.desc())
        if project is not None:
            query = query.where(table.c.project_id == project.id)
        if states:
            query = query.where(table.c.state.in_(states))
        with self._store.reading() as connection:
            return [Build(*row) for row in connection.execute(query)]

    def latest(self, count: int) -> dict[str, list[Build]]:
        """The newest builds of every project, by its id, in one query; without their secrets and environments."""
        table = tables.builds
        place = func.row_number().over(partition_by=table.c.project_id, order_by=table.c.number.desc()).label("place")
        columns = [each for each in table.columns if each.name not in HELD_BACK]
        numbered = select(*columns, place).subquery()
        query = select(numbered).where(numbered.c.place <= count).order_by(numbered.c.number.desc())
        found = dict[str, list[Build]]()
        with self._store.reading() as connection:
            for row in connection.execute(query):
                values = {column.name: getattr(row, column.name) for column in columns}
                found.setdefault(row.project_id, []).append(Build(**values, environment={}, secrets={}))
        return found

    def move(self, build: Build, state: State, *, error: str | None = None) -> Build:
        """To another state. Raises Conflict where the way does not lead there."""
        now = self.get(build.id)
        if state not in NEXT.get(now.state, ()):
            raise Conflict(f"the build is {now.state} and cannot become {state}")
        moment = time.time()
        moved = replace(
            now,
            state=state,
            error=error,
            attempts=now.attempts + (state == "building"),
            started=now.started or (moment if state == "building" else None),
            finished=moment if state in OVER else None,
        )
        table = tables.builds
        with self._store.transaction() as connection:
            connection.execute(update(table).where(table.c.id == build.id).values(_values(moved)))
        self._tell(moved)
        return moved

    def deployed(self, build: Build, launch: Launch) -> Deployment:
        """What the build made; a build begun again after a kill makes it anew."""
        table, made = tables.deployments, Deployment(build.id, build.project_id, launch, time.time(), build.secrets)
        row = {"id": made.id, "project_id": made.project_id, "launch": launch.to_json(), "created": made.created}
        with self._store.transaction() as connection:
            connection.execute(delete(table).where(table.c.id == made.id))
            connection.execute(insert(table).values(row))
        return made

    def deployment(self, id: str) -> Deployment | None:
        """The deployment of that id."""
        table, built = tables.deployments, tables.builds
        query = select(table, built.c.secrets).join(built, built.c.id == table.c.id).where(table.c.id == id)
        with self._store.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return Deployment(row.id, row.project_id, Launch.from_json(row.launch), row.created, row.secrets)

    def takes(self, deployment: str | None) -> int:
        """How many calls at once a replica of it said that it takes; 1 where none has said."""
        return self._takes.get(deployment or "", 1)

    def learn(self, deployment: Deployment, takes: int) -> None:
        """Keep what its first replica said, for when there is none."""
        table = tables.deployments
        with self._store.transaction() as connection:
            connection.execute(update(table).where(table.c.id == deployment.id).values(takes=takes))
        self._takes[deployment.id] = takes

    def forget(self, build: Build) -> None:
        """Remove a build and its deployment."""
        with self._store.transaction() as connection:
            connection.execute(delete(tables.builds).where(tables.builds.c.id == build.id))
        self._takes.pop(build.id, None)

    def _tell(self, build: Build) -> None:
        for tell in self.changed:
            tell(build)


def _values(build: Build) -> dict[str, Any]:
    return {column.name: getattr(build, column.name) for column in tables.builds.columns}
