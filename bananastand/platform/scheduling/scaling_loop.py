"""Applies what the autoscaler decides, when something has changed and when something falls due; it never polls."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ..errors import PlatformError
from ..nodes import Resources, has_labels
from ..replicas.pool import Pool
from ..settings import Settings
from ..store.builds import Builds
from ..store.projects import Project, Projects
from . import outcomes
from .autoscaler import Autoscaler
from .demand import Demand, ReplicaState
from .dispatcher import Dispatcher
from .ranking import Ranking

__all__ = ["ScalingLoop"]

log = logging.getLogger("bananastand.platform")

RETRY_SECONDS = 1.0  # after the database failed
CALM_SECONDS = 0.05  # until it looks at a change for which no call waits: calls begin and end without pause


class ScalingLoop:
    """Starts and drains replicas, and ends calls that no replica will ever take.

    It looks at the projects that have changed and at those for which something falls due.

    Args:
        settings: The platform's.
        projects: Its projects.
        builds: Its builds.
        pool: Its replicas.
        dispatcher: Its calls.
        is_building: Whether a project (by id) has a build that may yet go live, for which its calls wait.

    Attributes:
        runs: How often it has run; it does not grow while the platform is idle.
    """

    def __init__(
        self,
        settings: Settings,
        projects: Projects,
        builds: Builds,
        pool: Pool,
        dispatcher: Dispatcher,
        is_building: Callable[[str], bool],
    ) -> None:
        self._settings, self._projects, self._builds = settings, projects, builds
        self._pool, self._dispatcher, self._is_building = pool, dispatcher, is_building
        self._changed = asyncio.Event()
        self._look_at_all()
        self._timer: asyncio.TimerHandle | None = None
        self.runs = 0

    def notify(self, project_id: str | None, is_urgent: bool = True) -> None:
        """Note that something has changed: the loop runs again, at once or within CALM_SECONDS.

        Args:
            project_id: The project that has changed; None where there is room for more or fewer replicas.
            is_urgent: Whether calls may wait for the change.
        """
        if project_id is not None:
            self._changed_projects.add(project_id)
        if is_urgent:
            self._changed.set()
        elif self._timer is None and not self._changed.is_set():
            self._timer = asyncio.get_running_loop().call_later(CALM_SECONDS, self._changed.set)

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            self._changed.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.runs += 1
            try:
                wake = self._apply()
            except Exception as error:
                if isinstance(error, PlatformError):
                    log.error("the autoscaler waits: %s", error)
                else:
                    log.exception("the autoscaler failed")
                self._look_at_all()
                wake = time.monotonic() + RETRY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wake is None else max(0.0, wake - time.monotonic())):
                    await self._changed.wait()

    def _look_at_all(self) -> None:
        """Forget what was decided, and decide for every project."""
        self._autoscaler = Autoscaler(self._settings.scale_wait)
        self._expiries = Ranking()  # projects by the moment at which their first waiting call has waited too long
        self._needs = dict[str, Resources]()  # by their names in demands
        self._impossible = set[str]()  # the needs that no node could meet, even if it ran nothing else
        self._labels: Mapping[str, Mapping[str, str]] | None = None  # of nodes, in this run
        self._changed_projects = {project.id for project in self._projects.list()}

    def _apply(self) -> float | None:
        """Decide and apply; return when to run again, on the monotonic clock."""
        now, demands = time.monotonic(), list[Demand]()
        self._labels, self._impossible = None, set[str]()
        changed, self._changed_projects = self._changed_projects, set[str]()
        for id in sorted(changed.union(self._expiries.up_to(now), self._autoscaler.due(now))):
            project = self._projects.get(id)
            if project is not None:
                self._dispatcher.assign(id)
                self._end_hopeless_calls(project)
            self._expiries.place(id, self._dispatcher.expire(id))
            if project is not None and project.live is not None:
                demands.append(self._demand(project))
            else:
                self._autoscaler.forget(id)
        decision = self._autoscaler.decide(demands, time.monotonic(), self._room, self._suits)
        for replica in decision.stops:
            self._changed_projects.add(self._pool.replicas[replica].project_id)
        self._changed_projects.update(decision.starts)
        for replica, reason in decision.stops.items():
            self._pool.replicas[replica].drain(reason)
        for id in decision.starts:
            project = self._projects.get(id)
            deployment = self._builds.deployment(project.live) if project is not None and project.live else None
            if project is not None and deployment is not None:
                self._pool.start(project, deployment)
        if (soonest := self._expiries.lowest) is not None:
            decision.wake_at(soonest[0])
        return decision.wake

    def _room(self, needs: str) -> int | None:
        """Return how many replicas with such needs may be started; None for any number."""
        nodes, resources = self._pool.nodes, self._needs.get(needs, Resources())
        room = nodes.room_for(resources)
        if needs and room is not None and room <= 0:  # only what a project misses has such a key
            nodes.want(resources)
            if nodes.why_never(resources) is not None:
                self._impossible.add(needs)
        return room

    def _suits(self, replica_id: str, needs: str) -> bool:
        """Return whether the end of a replica makes room for one with such needs."""
        replica, requested = self._pool.replicas.get(replica_id), self._needs.get(needs, Resources())
        if replica is None or needs in self._impossible:
            return False
        if not requested.labels or replica.order.resources == requested:
            return True
        if self._labels is None:
            self._labels = {node.name: node.labels for node in self._pool.nodes.states()}
        return has_labels(self._labels.get(replica.node, {}), requested.labels)

    def _end_hopeless_calls(self, project: Project) -> None:
        """End the waiting calls that no replica will ever take."""
        if not self._dispatcher.queue(project.id).waiting or self._pool.of_project(project.id):
            return
        failing = self._pool.failing.get(project.live or "")
        if project.live is None and not self._is_building(project.id):
            self._dispatcher.fail_waiting(project.id, outcomes.no_deployment(project.name, self._last_failure(project)))
        elif project.max_replicas == 0:
            self._dispatcher.fail_waiting(project.id, outcomes.no_replicas(project.name))
        elif failing is not None and failing.failed_starts >= self._settings.starts:
            self._dispatcher.fail_waiting(project.id, outcomes.does_not_start(failing.reason_and_advice))

    def _last_failure(self, project: Project) -> str | None:
        last = next(iter(self._builds.list(project)), None)
        return f"its build failed: {last.error}" if last is not None and last.state == "failed" else None

    def _demand(self, project: Project) -> Demand:
        queue = self._dispatcher.queue(project.id)
        failing = self._pool.failing.get(project.live or "")
        replicas = tuple(
            ReplicaState(replica.id, replica.state, replica.inflight, replica.idle_since)
            for replica in self._pool.of_project(project.id)
            if replica.deployment.id == project.live and not replica.is_moving
        )
        concurrency = self._builds.concurrency_of(project)
        resources = self._pool.resources(project)
        self._needs[needs := repr(resources)] = resources
        unused_slots = len(queue.isolated) * (concurrency - 1)  # a call that is tried alone has a replica to itself
        return Demand(
            project=project.id,
            minimum=project.min_replicas,
            maximum=project.max_replicas,
            idle_timeout=project.idle_timeout,
            concurrency=concurrency,
            waiting=len(queue.waiting),
            running=len(queue.running) + unused_slots,
            oldest=queue.oldest,
            last_served=queue.last_served,
            rests_until=failing.retry_at if failing is not None else 0.0,
            replicas=replicas,
            needs=needs,
        )
