"""The rows of projects, which Banana called models too. They are held in memory and written through."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, insert, select, update

from ..errors import Conflict, NotFound, Refused
from ..nodes import Resources
from . import tables
from .resource_settings import RESOURCE_CHECKS
from .store import Store

__all__ = ["MAX_REPLICAS", "SETTINGS", "Project", "Projects", "check_settings"]

NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")  # matches every slug that Banana assigned
SETTINGS: dict[str, Any] = {  # with the defaults of Banana's own page
    "min_replicas": 0,
    "max_replicas": 3,
    "inference_timeout": 300,
    "idle_timeout": 30,
    "concurrency": 0,
    "host": "bananastand",
    "gpus": None,
    "gpu_memory_gb": None,
    "memory_mb": None,
    "labels": "",
}
MAX_REPLICAS = 10_000  # of a project, and what benchmarks/swarm.py measures in all
MAXIMUM = {
    "min_replicas": MAX_REPLICAS,
    "max_replicas": MAX_REPLICAS,
    "inference_timeout": 86_400,
    "idle_timeout": 604_800,
    "concurrency": 64,
}
MINIMUM = {"inference_timeout": 1}
HOSTS = ("bananastand", "potassium")


@dataclass(frozen=True, slots=True)
class Project:
    """One project as it is now. Timeouts are in seconds.

    Attributes:
        concurrency: Calls that a replica runs at once; 0 for as many as its app declares.
        host: The server of its replicas, one of HOSTS.
        live: The id of the deployment that takes traffic.
        gpus: GPUs of a replica: a whole number, or a share of one below 1; None for one where there are any.
        gpu_memory_gb: The memory that each of its GPUs has at least, in GiB; None for any.
        memory_mb: The memory that a replica may hold, in MiB; None for the platform's limit.
        labels: Labels that a replica's node has, as NAME=VALUE,NAME=VALUE.
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
    gpus: float | None = None
    gpu_memory_gb: float | None = None
    memory_mb: int | None = None
    labels: str = ""

    def resources(self, memory_mb: int | None) -> Resources:
        """Return what a replica takes of its node; `memory_mb` is the platform's limit."""
        labels = dict(label.split("=", 1) for label in self.labels.split(",") if label)
        return Resources(self.gpus, self.gpu_memory_gb, self.memory_mb or memory_mb, labels)


class Projects:
    """All projects.

    Attributes:
        on_change: Called with every project that is created, changed or removed, and whether it still exists.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.on_change: list[Callable[[Project, bool], None]] = []
        with store.reading() as connection:
            rows = connection.execute(select(tables.projects).order_by(tables.projects.c.created))
            self._by_id = {row.id: Project(*row) for row in rows}
        self._ids = {name: project.id for project in self._by_id.values() for name in (project.name, project.model_key)}

    def list(self) -> list[Project]:
        """Return all projects, oldest first."""
        return list(self._by_id.values())

    def get(self, id: str) -> Project | None:
        """Return the project of that id, or None."""
        return self._by_id.get(id)

    def find(self, name: str) -> Project | None:
        """Return the project with this id, model key or name, or None."""
        return self._by_id.get(name) or self._by_id.get(self._ids.get(name, ""))

    def named(self, name: str) -> Project:
        """Return the project with this id, model key or name. Raises NotFound."""
        if project := self.find(name):
            return project
        raise NotFound(f"there is no project {name[:100]}")

    def create(self, name: str, *, model_key: str | None = None, **settings: Any) -> Project:
        """Create a project.

        Args:
            name: Its name, a part of its run URL.
            model_key: Its model key; None for a new one.
            settings: Of SETTINGS.

        Raises:
            Refused: The name or a setting is invalid.
            Conflict: The name is taken.
        """
        if not NAME.fullmatch(name):
            raise Refused("a project's name has 1 to 63 of a-z, 0-9, - and _, and neither begins nor ends with - or _")
        if self.find(name) or (model_key and self.find(model_key)):
            raise Conflict(f"there is a project {name} already")
        fields = {**SETTINGS, **check_settings(settings, SETTINGS)}
        project = Project(
            str(uuid.uuid4()), name, model_key or str(uuid.uuid4()), **fields, live=None, created=time.time()
        )
        with self._store.transaction() as connection:
            connection.execute(insert(tables.projects).values(_values(project)))
        self._store_in_memory(project)
        return project

    def free_name(self, title: str) -> str:
        """Return a valid name made from a title that no project has."""
        name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].strip("-") or "model"
        return name if self.find(name) is None else f"{name[:33].strip('-')}-{uuid.uuid4().hex[:6]}"

    def change(self, project: Project, changes: Mapping[str, Any]) -> Project:
        """Change settings of a project, and return it as it is then. Raises Refused, naming the setting."""
        now = self._by_id.get(project.id, project)
        fields = check_settings(changes, {name: getattr(now, name) for name in SETTINGS})
        return self._write(now, fields)

    def point(self, project: Project, deployment: str | None) -> Project:
        """Let a deployment take the project's traffic, and return the project as it is then."""
        return self._write(self._by_id[project.id], {"live": deployment})

    def remove(self, project: Project) -> None:
        """Delete a project with its builds and calls."""
        with self._store.transaction() as connection:
            connection.execute(delete(tables.projects).where(tables.projects.c.id == project.id))
        self._by_id.pop(project.id, None)
        for name in (project.name, project.model_key):
            self._ids.pop(name, None)
        for callback in self.on_change:
            callback(project, False)

    def _write(self, project: Project, fields: dict[str, Any]) -> Project:
        changed = replace(project, **fields)
        table = tables.projects
        with self._store.transaction() as connection:
            connection.execute(update(table).where(table.c.id == project.id).values(_values(changed)))
        self._store_in_memory(changed)
        return changed

    def _store_in_memory(self, project: Project) -> None:
        self._by_id[project.id] = project
        self._ids.update({project.name: project.id, project.model_key: project.id})
        for callback in self.on_change:
            callback(project, True)


def check_settings(changes: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Check changes of settings and return them.

    Args:
        changes: The new values.
        now: All current values.

    Raises:
        Refused: A setting is unknown, a value is invalid, or the minimum of replicas is above the maximum.
    """
    for name, value in changes.items():
        if name not in SETTINGS:
            raise Refused(f"{name}: there is no such setting; there are {', '.join(SETTINGS)}")
        if name in RESOURCE_CHECKS:
            if (problem := RESOURCE_CHECKS[name](value)) is not None:
                raise Refused(f"{name}: {problem}")
        elif name == "host":
            if value not in HOSTS:
                raise Refused(f"host: must be one of {', '.join(HOSTS)}")
        elif (
            not isinstance(value, int) or isinstance(value, bool) or not MINIMUM.get(name, 0) <= value <= MAXIMUM[name]
        ):
            raise Refused(f"{name}: must be a whole number from {MINIMUM.get(name, 0)} to {MAXIMUM[name]}")
    result = {**now, **changes}
    if result["min_replicas"] > result["max_replicas"]:
        raise Refused(f"min_replicas: {result['min_replicas']} is more than max_replicas, {result['max_replicas']}")
    return dict(changes)


def _values(project: Project) -> dict[str, Any]:
    return {column.name: getattr(project, column.name) for column in tables.projects.columns}
