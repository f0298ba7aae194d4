"""The replicas of all projects: starts them on free GPUs and ports, and records versions that fail."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..settings import Settings
from ..store.builds import Deployment
from ..store.private_files import open_private
from ..store.projects import Project
from .cgroups import Cgroups
from .fork_servers import ForkServers
from .isolation import make_isolation_policy
from .liveness import Liveness
from .moved_ports import redirection_problem
from .replica import Replica, Spawn
from .start_command import StartCommand, is_limited_to_one_replica, make_start_command

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
        spawn: Starts programs, in place of processes and fork servers.

    Attributes:
        replicas: By id.
        listeners: Called with a replica whenever its state has changed; it is still in the pool then.
        failing: The versions that fail, by deployment.
    """

    def __init__(
        self, settings: Settings, platform: str, log: Callable[[str, str, str], None], *, spawn: Spawn | None = None
    ) -> None:
        self._settings, self._platform, self._log = settings, platform, log
        self.replicas: dict[str, Replica] = {}
        self.listeners: list[Callable[[Replica], None]] = []
        self.failing: dict[str, FailingVersion] = {}
        self._trials = set[str]()  # first replicas of a version, whose failure is reported by their build
        self._closing = False
        self._policy = make_isolation_policy(
            settings.isolation, settings.data, network=settings.network, processes=settings.processes
        )
        self._cgroups = Cgroups(None, "not set up")
        self._fork_servers = ForkServers(settings.fork_servers)
        self._spawn: Spawn = spawn or self._fork_servers.start

    def use_cgroups(self) -> str | None:
        """Limit replicas by cgroups, where some are delegated to this process; returns the reason where not."""
        self._cgroups = Cgroups.delegated()
        return self._cgroups.problem

    def of_project(self, project_id: str) -> list[Replica]:
        """Return a project's replicas, oldest first."""
        return [replica for replica in self.replicas.values() if replica.project_id == project_id]

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
            The replica; None where no GPU or port is free.
        """
        if self._closing or (is_limited_to_one_replica(deployment.launch) and self.of_project(project.id)):
            return None
        gpu = self._find_gpu(share)
        if gpu is None and self._settings.gpus:
            return None
        replica = Replica(
            deployment,
            project.concurrency,
            self._handle_change,
            lambda replica, line: self._log(project.id, replica, line),
            spawn=self._spawn,
            gpu=gpu,
            is_potassium=project.host == "potassium",
        )
        start = make_start_command(
            deployment.launch,
            platform=self._platform,
            replica=replica.id,
            port=_free_port(),
            host=project.host,
            concurrency=project.concurrency,
            secrets=deployment.secrets,
            gpu=gpu,
            memory_mb=self._settings.memory_mb,
            policy=self._policy,
        )
        if deployment.launch.kind == "process":
            limits = {"memory_mb": self._settings.memory_mb, "processes": self._settings.processes}
            start = replace(start, cgroup=self._cgroups.create(replica.id, **limits))
        self.replicas[replica.id] = replica
        if share:
            self._trials.add(replica.id)
        on_gpu = f" on GPU {gpu}" if gpu is not None else ""
        how = "in the worker" if start.worker_arguments is not None else "by its own command"
        replica.log_event(f"starts version {deployment.id[:8]} {how}{on_gpu}")
        if is_limited_to_one_replica(deployment.launch):
            replica.log_event(
                f"one replica at a time: the app fixes port {start.port}, and ports cannot be moved here "
                f"({redirection_problem()})"
            )
        replica.ready.add_done_callback(lambda ready: None if ready.exception() else self._warm_up(replica, start))
        settings = self._settings
        liveness = Liveness(settings.liveness_interval, settings.liveness_timeout)
        replica.start(start, timeout=settings.start_timeout, memory_mb=settings.memory_mb, liveness=liveness)
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
        await self._fork_servers.close()

    def _handle_change(self, replica: Replica) -> None:
        known = self.failing.get(replica.deployment.id)
        if replica.state == "ready" and known is not None:
            known.failed_starts = 0
        elif replica.state == "ended" and not replica.is_stop_requested:
            self._record_failure(replica, known)
        for listener in self.listeners:
            try:
                listener(replica)
            except Exception:
                log.exception("replica %s: a listener failed on its change of state", replica.id)
        if replica.state == "ended":
            self.replicas.pop(replica.id, None)
            self._trials.discard(replica.id)

    def _record_failure(self, replica: Replica, known: FailingVersion | None) -> None:
        failures = known.failures + 1 if known is not None else 1
        earlier = known.failed_starts if known is not None else 0
        failed_starts = earlier + 1 if replica.startup_seconds is None else 0
        pause = min(self._settings.backoff_most, self._settings.backoff * 2 ** min(failures - 1, 20))
        advice = replica.advice() if replica.id not in self._trials else None
        if advice is not None:
            replica.log_event(f"advice: {advice}")
        self.failing[replica.deployment.id] = FailingVersion(
            failures, replica.failure or "it ended", time.monotonic() + pause, failed_starts, advice
        )

    def _warm_up(self, replica: Replica, start: StartCommand) -> None:
        """Record what the app has imported, and start a fork server for the version's next replicas."""
        worker = replica.worker
        if worker is None or not self._settings.fork_servers:
            return
        modules = self._settings.data / "modules" / f"{replica.deployment.id}.json"
        if not modules.exists():
            modules.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(modules, "w", encoding="utf-8", opener=open_private) as file:
                json.dump(worker.modules, file)
        self._fork_servers.warm_up(start, modules, replica.log_event)

    def _find_gpu(self, share: bool) -> str | None:
        used = Counter(replica.gpu for replica in self.replicas.values())
        free = [gpu for gpu in self._settings.gpus if not used[gpu]]
        if free:
            return free[0]
        return min(self._settings.gpus, key=lambda gpu: used[gpu], default=None) if share else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
