"""The status page: one HTML document without scripts, rendered from `templates/status.html.jinja`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..platform import Platform
from ..replicas.replica import Replica
from ..store.builds import Build
from ..store.logs import plain
from ..store.projects import Project

__all__ = ["HEADERS", "StatusPage"]

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
PROJECTS = 50  # on a page
BUILDS = 5  # of a project
CACHE_SECONDS = 1.0  # the page reloads itself every five seconds
BATCH = 20  # projects that are read before calls have their turn
UNITS = (("d", 86_400), ("h", 3600), ("min", 60))


@dataclass(frozen=True, slots=True)
class _ProjectState:
    """A project as it is at one moment."""

    project: Project
    waiting: int
    running: int
    problem: str | None
    replicas: tuple[Replica, ...]
    builds: tuple[tuple[Build, str], ...]  # with their sources


class StatusPage:
    """Renders the page at most once in CACHE_SECONDS for an address, because rendering takes time from calls.

    The state is read on the event loop; the page is rendered on another thread.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._rendered: dict[tuple[str, int], tuple[float, asyncio.Task[str]]] = {}

    async def html(self, address: str, number: int = 1) -> str:
        """Return a page with PROJECTS projects, their replicas and latest builds.

        Args:
            address: The platform's URL, for the URLs on the page.
            number: Which page, from 1; the last one for a larger number.
        """
        pages = max(1, math.ceil(len(self._platform.projects.list()) / PROJECTS))
        number = max(1, min(number, pages))
        now = time.monotonic()
        self._rendered = {
            key: (began, task)
            for key, (began, task) in self._rendered.items()
            if now - began < CACHE_SECONDS or not task.done()
        }
        page = (address, number)
        if page not in self._rendered:
            self._rendered[page] = (now, asyncio.create_task(self._render(address, number, pages), name="status page"))
        return await asyncio.shield(self._rendered[page][1])

    async def _render(self, address: str, page: int, pages: int) -> str:
        every, queues = self._platform.projects.list(), self._platform.dispatcher.queues.values()
        listed, projects = every[(page - 1) * PROJECTS : page * PROJECTS], list[_ProjectState]()
        builds = self._platform.builds.latest(BUILDS, listed)
        for number, project in enumerate(listed, 1):
            if number % BATCH == 0:
                await asyncio.sleep(0)  # calls go on
            projects.append(_state_of(self._platform, project, builds.get(project.id, [])))
        values = {
            "fronts": await self._platform.list_fronts(),
            "projects": projects,
            "count": len(every),
            "page": page,
            "pages": pages,
            "address": address,
            "replicas": len(self._platform.pool.replicas),
            "nodes": self._platform.pool.nodes.states(),
            "running": sum(len(queue.running) for queue in queues),
            "waiting": sum(len(queue.waiting) for queue in queues),
            "uptime": time.time() - self._platform.began,
            "now": time.time(),
            "now_monotonic": time.monotonic(),
        }
        return await asyncio.to_thread(TEMPLATE.render, values)


def _state_of(platform: Platform, project: Project, builds: list[Build]) -> _ProjectState:
    queue = platform.dispatcher.queue(project.id)
    problem = platform.problem(project, builds) if project.live else None  # a failed build's error is in the table
    return _ProjectState(
        project,
        len(queue.waiting),
        len(queue.running),
        problem,
        tuple(platform.pool.of_project(project.id)),
        tuple((build, platform.source_of(build)) for build in builds),
    )


def _unhurried(states: Iterable[_ProjectState]) -> Iterator[_ProjectState]:
    """Yield the projects, and let go of the interpreter between them: the event loop has calls to answer."""
    for state in states:
        yield state
        time.sleep(0.0001)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    for unit, length in UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _without_control_characters(value: Any) -> Any:
    return value if isinstance(value, Markup) else plain(str(value))


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("bananastand.platform.http"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_without_control_characters,
    )
    filters: dict[str, Any] = environment.filters
    filters.update(count=_count, duration=_duration, unhurried=_unhurried)
    return environment.get_template("status.html.jinja")


TEMPLATE = _template()
