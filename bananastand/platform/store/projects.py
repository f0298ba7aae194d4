"""Projects: what Banana called a model too. Rows are held in memory and written through. Knows no build and no call."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, insert, select, update

from ..errors import Conflict, NotFound, Refused
from . import tables
from .database import Store

__all__ = ["SETTINGS", "Project", "Projects", "checked"]

NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")  # every slug that Banana gave
SETTINGS: dict[str, Any] = {  # with what Banana's own page shows as their values
    "min_replicas": 0,
    "max_replicas": 3,
    "inference_timeout": 300,
    "idle_timeout": 30,
    "concurrency": 0,
    "host": "bananastand",
}
MOST = {"min_replicas": 64, "max_replicas": 64, "inference_timeout": 86_400, "idle_timeout": 604_800, "concurrency": 64}
LEAST = {"inference_timeout": 1}
HOSTS = ("bananastand", "potassium")


@dataclass(frozen=True, slots=True)
class Project:
    """One project as it is now. Timeouts are in seconds; `live` is the id of the deployment that takes traffic.

    concurrency: calls at once in a replica, 0 for as many as its app declares.
    """

    id: str
    name: str
    model_key: str
    min_replicas: int
    max_replicas: int
    inference_timeout: int
    idle_timeout: int
    concurrency: int
    host: str
    live: str | None
    created: float


class Projects:
    """All projects. `changed` is told of each that is made, changed or removed (then with False)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.changed: list[Callable[[Project, bool], None]] = []
        with store.reading() as connection:
            rows = connection.execute(select(tables.projects).order_by(tables.projects.c.created))
            self._by_id = {row.id: Project(*row) for row in rows}

    def list(self) -> list[Project]:
        """Oldest first."""
        return list(self._by_id.values())

    def get(self, id: str) -> Project | None:
        """The project of that id."""
        return self._by_id.get(id)

    def find(self, name: str) -> Project | None:
        """By id, model key or name."""
        if project := self._by_id.get(name):
            return project
        return next((each for each in self._by_id.values() if name in (each.model_key, each.name)), None)

    def named(self, name: str) -> Project:
        """The same. Raises NotFound."""
        if project := self.find(name):
            return project
        raise NotFound(f"there is no project {name[:100]}")

    def create(self, name: str, *, model_key: str | None = None, **settings: Any) -> Project:
        """A new project. Raises Refused for a name that is none, Conflict for one that is taken."""
        if not NAME.fullmatch(name):
            raise Refused("a project's name has 1 to 63 of a-z, 0-9, - and _, and neither begins nor ends with - or _")
        if self.find(name) or (model_key and self.find(model_key)):
            raise Conflict(f"there is a project {name} already")
        fields = {**SETTINGS, **checked(settings, SETTINGS)}
        project = Project(
            str(uuid.uuid4()), name, model_key or str(uuid.uuid4()), **fields, live=None, created=time.time()
        )
        with self._store.transaction() as connection:
            connection.execute(insert(tables.projects).values(_values(project)))
        self._keep(project)
        return project

    def free_name(self, wanted: str) -> str:
        """A name like this one that no project has."""
        plain = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")[:40].strip("-") or "model"
        return plain if self.find(plain) is None else f"{plain[:33].strip('-')}-{uuid.uuid4().hex[:6]}"

    def change(self, project: Project, changes: Mapping[str, Any]) -> Project:
        """With these settings from now on. Raises Refused, naming the setting."""
        now = self._by_id.get(project.id, project)
        fields = checked(changes, {name: getattr(now, name) for name in SETTINGS})
        return self._write(now, fields)

    def point(self, project: Project, deployment: str | None) -> Project:
        """Let this deployment take the traffic."""
        return self._write(self._by_id[project.id], {"live": deployment})

    def remove(self, project: Project) -> None:
        """With all its builds and calls."""
        with self._store.transaction() as connection:
            connection.execute(delete(tables.projects).where(tables.projects.c.id == project.id))
        self._by_id.pop(project.id, None)
        for tell in self.changed:
            tell(project, False)

    def _write(self, project: Project, fields: dict[str, Any]) -> Project:
        changed = replace(project, **fields)
        table = tables.projects
        with self._store.transaction() as connection:
            connection.execute(update(table).where(table.c.id == project.id).values(_values(changed)))
        self._keep(changed)
        return changed

    def _keep(self, project: Project) -> None:
        self._by_id[project.id] = project
        for tell in self.changed:
            tell(project, True)


def checked(changes: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The named settings. Raises Refused for an unknown one, a wrong value, or a minimum above the maximum."""
    for name, value in changes.items():
        if name not in SETTINGS:
            raise Refused(f"{name}: there is no such setting; there are {', '.join(SETTINGS)}")
        if name == "host":
            if value not in HOSTS:
                raise Refused(f"host: must be one of {', '.join(HOSTS)}")
        elif not isinstance(value, int) or isinstance(value, bool) or not LEAST.get(name, 0) <= value <= MOST[name]:
            raise Refused(f"{name}: must be a whole number from {LEAST.get(name, 0)} to {MOST[name]}")
    result = {**now, **changes}
    if result["min_replicas"] > result["max_replicas"]:
        raise Refused(f"min_replicas: {result['min_replicas']} is more than max_replicas, {result['max_replicas']}")
    return dict(changes)


def _values(project: Project) -> dict[str, Any]:
    return {column.name: getattr(project, column.name) for column in tables.projects.columns}
