"""Applies what the autoscaler decides, whenever something has changed and whenever something falls due. Never polls."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from ..errors import PlatformError
from ..replicas.pool import Pool
from ..settings import Settings
from ..store.builds import Builds
from ..store.projects import Project, Projects
from . import outcomes
from .autoscaler import Demand, Seen, decide
from .dispatcher import Dispatcher

__all__ = ["Scaling"]

log = logging.getLogger("bananastand.platform")

RETRY = 1.0  # seconds after the database failed


class Scaling:
    """`building` says whether a project has a build that may yet go live: then its calls wait for it."""

    def __init__(
        self, settings: Settings, projects: Projects, builds: Builds, pool: Pool, dispatcher: Dispatcher,
        building: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self._settings, self._projects, self._builds = settings, projects, builds
        self._pool, self._dispatcher, self._building = pool, dispatcher, building
        self._changed = asyncio.Event()
        self.looks = 0  # how often it has looked: an idle stand's stands still

    def poke(self) -> None:
        """Something has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            self.looks += 1
            try:
                wake = self._look()
            except PlatformError as error:
                log.error("the autoscaler waits: %s", error)
                wake = time.monotonic() + RETRY
            except Exception:
                log.exception("the autoscaler failed")
                wake = time.monotonic() + RETRY
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wake is None else max(0.0, wake - time.monotonic())):
                    await self._changed.wait()

    def _look(self) -> float | None:
        """Decide and apply; when to look again."""
        projects = self._projects.list()
        for project in projects:
            self._dispatcher.hand_out(project.id)
            self._turn_away(project)
        due = self._dispatcher.expire()
        now = time.monotonic()
        demands = [self._demand(each) for each in projects if each.live is not None]
        cards = len(self._settings.gpus) or None
        used = len(self._pool.replicas)
        decision = decide(demands, now, cards=cards, used=used, scale_wait=self._settings.scale_wait)
        for replica, reason in decision.stops.items():
            self._pool.replicas[replica].drain(reason)
        for id in decision.starts:
            project = self._projects.get(id)
            deployment = self._builds.deployment(project.live) if project is not None and project.live else None
            if project is not None and deployment is not None:
                self._pool.start(project, deployment)
        moments = [each for each in (due, decision.wake) if each is not None]
        return min(moments, default=None)

    def _turn_away(self, project: Project) -> None:
        """End the calls that no replica will ever take."""
        if not self._dispatcher.line(project.id).waiting or self._pool.of_project(project.id):
            return
        failing = self._pool.failing.get(project.live or "")
        if project.live is None and not self._building(project.id):
            self._dispatcher.give_up(project.id, outcomes.no_deployment(project.name, self._last_failure(project)))
        elif project.max_replicas == 0:
            self._dispatcher.give_up(project.id, outcomes.no_replicas(project.name))
        elif failing is not None and failing.failed_starts >= self._settings.starts:
            self._dispatcher.give_up(project.id, outcomes.does_not_start(failing.reason_and_advice))

    def _last_failure(self, project: Project) -> str | None:
        last = next(iter(self._builds.list(project)), None)
        return f"its build failed: {last.error}" if last is not None and last.state == "failed" else None

    def _demand(self, project: Project) -> Demand:
        line = self._dispatcher.line(project.id)
        failing = self._pool.failing.get(project.live or "")
        replicas = tuple(
            Seen(each.id, each.state, each.inflight, each.idle_since)
            for each in self._pool.of_project(project.id)
            if each.deployment.id == project.live
        )
        concurrency = project.concurrency or self._builds.takes(project.live)
        more = len(line.alone) * (concurrency - 1)  # a call that is tried alone has a whole replica
        return Demand(
            project.id, project.min_replicas, project.max_replicas, project.idle_timeout, concurrency,
            len(line.waiting), len(line.at_work) + more, line.oldest, line.last_served,
            failing.retry_at if failing is not None else 0.0, replicas,
        )  # fmt: skip
