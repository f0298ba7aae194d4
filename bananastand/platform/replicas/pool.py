"""The replicas of all projects: orders them from the nodes, and records versions that fail."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from ..nodes import Nodes, ReplicaOrder, Resources
from ..settings import Settings
from ..store.builds import Deployment
from ..store.projects import Project
from .liveness import Liveness
from .local_machine import LocalMachine
from .replica import Replica
from .start_command import runs_in_worker

__all__ = ["FailingVersion", "Pool"]

log = logging.getLogger("bananastand.platform")


@dataclass(slots=True)
class FailingVersion:
    """A version whose replicas end by themselves.

    Attributes:
        failures: How often in a row.
        reason: Why the last one ended.
        retry_at: The monotonic time before which no other is started.
        failed_starts: How many of the last ones never became ready.
        advice: What to do, where that is known.
    """

    failures: int
    reason: str
    retry_at: float
    failed_starts: int
    advice: str | None = None

    @property
    def reason_and_advice(self) -> str:
        """The reason, and what to do."""
        return f"{self.reason}. {self.advice}" if self.advice else self.reason


class Pool:
    """All replicas of one platform.

    Args:
        settings: Of the platform.
        platform: The id of the data directory.
        log: Called with project, replica and each line of the replica's log.
        nodes: Where replicas run; None for this machine.

    Attributes:
        replicas: By id.
        nodes: Where replicas run.
        listeners: Called with a replica whenever its state has changed; it is still in the pool then.
        failing: The versions that fail, by deployment.
    """

    def __init__(
        self, settings: Settings, platform: str, log: Callable[[str, str, str], None], *, nodes: Nodes | None = None
    ) -> None:
        self._settings, self._log = settings, log
        self.nodes: Nodes = nodes or LocalMachine(settings, platform)
        self.replicas: dict[str, Replica] = {}
        self.listeners: list[Callable[[Replica], None]] = []
        self.failing: dict[str, FailingVersion] = {}
        self._by_project: dict[str, dict[str, Replica]] = {}
        self._trials = set[str]()  # first replicas of a version, whose failure is reported by their build
        self._closing = False

    def of_project(self, project_id: str) -> list[Replica]:
        """Return a project's replicas, oldest first."""
        return list(self._by_project.get(project_id, {}).values())

    def resources(self, project: Project) -> Resources:
        """Return what a replica of a project takes of its node."""
        return project.resources(self._settings.memory_mb)

    def why_never(self, project: Project) -> str | None:
        """Return why no node could run a replica of a project; None where one could."""
        return self.nodes.why_never(self.resources(project))

    def live_replicas(self, project: Project) -> list[Replica]:
        """Return the replicas of the project's live version, oldest first."""
        return [replica for replica in self.of_project(project.id) if replica.deployment.id == project.live]

    def start(self, project: Project, deployment: Deployment, *, share: bool = False) -> Replica | None:
        """Start one more replica of a version.

        Args:
            project: Whose it is.
            deployment: The version.
            share: Whether it may share a GPU with other replicas, as the first replica of a version.

        Returns:
            The replica; None where no node has room for it, or its port is taken.
        """
        single = self.nodes.why_single(deployment.launch)
        if self._closing or (single is not None and project.id in self._by_project):
            return None
        order = ReplicaOrder(
            uuid.uuid4().hex[:12],
            project.id,
            deployment.id,
            deployment.launch,
            project.host,
            project.concurrency,
            deployment.secrets,
            self.resources(project),
            may_share_gpu=share,
        )
        if not self.nodes.reserve(order):
            return None
        replica = Replica(
            deployment,
            order,
            self.nodes,
            self._handle_change,
            lambda replica, line: self._log(project.id, replica, line),
        )
        self.replicas[replica.id] = self._by_project.setdefault(project.id, {})[replica.id] = replica
        if share:
            self._trials.add(replica.id)
        how = "in the worker" if runs_in_worker(deployment.launch, project.host) else "by its own command"
        replica.log_event(f"starts version {deployment.id[:8]} {how}")
        if single is not None:
            replica.log_event(f"one replica at a time: {single}")
        replica.ready.add_done_callback(lambda ready: None if ready.exception() else self._warm_up(replica))
        settings = self._settings
        liveness = Liveness(settings.liveness_interval, settings.liveness_timeout)
        replica.start(timeout=settings.start_timeout, liveness=liveness)
        return replica

    def record_success(self, replica: Replica) -> None:
        """Record that a replica has answered a call: its version works."""
        replica.completed_calls += 1
        self.failing.pop(replica.deployment.id, None)

    async def stop_all(self, grace: float) -> None:
        """Stop every replica and wait for its end; no other is started."""
        self._closing = True
        replicas = list(self.replicas.values())
        for replica in replicas:
            replica.stop("the platform stops", grace)
        for replica in replicas:
            await replica.ended
        await self.nodes.close()

    def _handle_change(self, replica: Replica) -> None:
        known = self.failing.get(replica.deployment.id)
        if replica.state == "ready" and known is not None:
            known.failed_starts = 0
        elif replica.state == "ended" and not replica.is_stop_requested:
            self._record_failure(replica, known)
        if replica.state == "ended":
            self.nodes.release(replica.id)
        for listener in self.listeners:
            try:
                listener(replica)
            except Exception:
                log.exception("replica %s: a listener failed on its change of state", replica.id)
        if replica.state == "ended":
            self.replicas.pop(replica.id, None)
            self._forget(replica)
            self._trials.discard(replica.id)

    def _forget(self, replica: Replica) -> None:
        own = self._by_project.get(replica.project_id, {})
        own.pop(replica.id, None)
        if not own:
            self._by_project.pop(replica.project_id, None)

    def _record_failure(self, replica: Replica, known: FailingVersion | None) -> None:
        """Let a version rest, the longer the more often it has failed.

        A lost node is no failure of the version: only a start that was lost waits a moment before the next one. Nor
        does a start that was killed from outside make a version hopeless that has been ready before.
        """
        failures, failed_starts = (known.failures, known.failed_starts) if known is not None else (0, 0)
        if replica.is_lost and replica.startup_seconds is not None:
            return
        if not replica.is_lost:
            failures += 1
            was_proven = replica.id not in self._trials
            if replica.startup_seconds is not None:
                failed_starts = 0
            elif not (replica.was_killed_from_outside and was_proven):
                failed_starts += 1
        pause = min(self._settings.backoff_most, self._settings.backoff * 2 ** min(max(failures, 1) - 1, 20))
        advice = replica.advice() if replica.id not in self._trials else None
        if advice is not None:
            replica.log_event(f"advice: {advice}")
        self.failing[replica.deployment.id] = FailingVersion(
            failures, replica.failure or "it ended", time.monotonic() + pause, failed_starts, advice
        )

    def _warm_up(self, replica: Replica) -> None:
        """Have a fork server for the version's next replicas."""
        if replica.worker is not None and replica.running is not None:
            self.nodes.warm_up(replica.running, replica.worker.modules, replica.log_event)
