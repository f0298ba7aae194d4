"""All replicas of all projects, their cards and ports, and which versions fail to start. Decides nothing."""

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
from .isolation import walls_for
from .liveness import Liveness
from .redirection import redirection_problem
from .replica import Replica, Spawn
from .start_command import Start, one_at_a_time, start_command

__all__ = ["Failing", "Pool"]

log = logging.getLogger("bananastand.platform")


@dataclass(slots=True)
class Failing:
    """A version whose replicas end by themselves: how often in a row, why, and until when it rests.

    `unready` is how many of the last ones never got ready. `advice` is what to do, where that is known.
    """

    times: int
    reason: str
    until: float
    unready: int
    advice: str | None = None

    @property
    def sentence(self) -> str:
        """Why, and what to do."""
        return f"{self.reason}. {self.advice}" if self.advice else self.reason


class Pool:
    """`changed` is called whenever a replica's state has changed; it is still in the pool then."""

    def __init__(
        self, settings: Settings, stand: str, log: Callable[[str, str, str], None], *, spawn: Spawn | None = None
    ) -> None:
        self._settings, self._stand, self._log = settings, stand, log
        self.replicas: dict[str, Replica] = {}
        self.changed: list[Callable[[Replica], None]] = []
        self.failing: dict[str, Failing] = {}  # by deployment
        self._trials = set[str]()  # first replicas of a version, whose failure is their build's
        self._closing = False
        self._walls = walls_for(
            settings.isolation, settings.data, network=settings.network, processes=settings.processes
        )
        self._cgroups = Cgroups(None, "not looked for")
        self._fork_servers = ForkServers(settings.fork_servers)
        self._spawn: Spawn = spawn or self._fork_servers.start

    def use_cgroups(self) -> str | None:
        """Bound replicas by cgroups, where some are delegated to this process; why not, where not."""
        self._cgroups = Cgroups.delegated()
        return self._cgroups.problem

    def of(self, project_id: str) -> list[Replica]:
        """A project's replicas, oldest first."""
        return [each for each in self.replicas.values() if each.project_id == project_id]

    def live(self, project: Project) -> list[Replica]:
        """Those of the version that takes the project's traffic, oldest first."""
        return [each for each in self.of(project.id) if each.deployment.id == project.live]

    def start(self, project: Project, deployment: Deployment, *, share: bool = False) -> Replica | None:
        """One more replica of this version; None where its card or port is taken. With `share` cards may be shared."""
        if self._closing or (one_at_a_time(deployment.launch) and self.of(project.id)):
            return None
        gpu = self._card(share)
        if gpu is None and self._settings.gpus:
            return None
        replica = Replica(
            deployment, project.concurrency, self._note,
            lambda replica, line: self._log(project.id, replica, line), spawn=self._spawn, gpu=gpu,
            is_potassium=project.host == "potassium",
        )  # fmt: skip
        start = start_command(
            deployment.launch, stand=self._stand, replica=replica.id, port=_free_port(), host=project.host,
            concurrency=project.concurrency, secrets=deployment.secrets, gpu=gpu, memory_mb=self._settings.memory_mb,
            walls=self._walls,
        )  # fmt: skip
        if deployment.launch.kind == "process":
            bounds = {"memory_mb": self._settings.memory_mb, "processes": self._settings.processes}
            start = replace(start, cgroup=self._cgroups.create(replica.id, **bounds))
        self.replicas[replica.id] = replica
        if share:
            self._trials.add(replica.id)
        card = f", card {gpu}" if gpu is not None else ""
        how = "in the worker" if start.words is not None else "by its own command"
        replica.say(f"starts version {deployment.id[:8]} {how}{card}")
        if one_at_a_time(deployment.launch):
            replica.say(
                f"one replica at a time: the app fixes port {start.port}, and ports cannot be moved here "
                f"({redirection_problem()})"
            )
        replica.ready.add_done_callback(lambda ready: None if ready.exception() else self._warm_up(replica, start))
        settings = self._settings
        liveness = Liveness(settings.liveness_interval, settings.liveness_timeout)
        replica.begin(start, timeout=settings.start_timeout, memory_mb=settings.memory_mb, liveness=liveness)
        return replica

    def answered(self, replica: Replica) -> None:
        """A call got an answer from it: the version works."""
        replica.answered += 1
        self.failing.pop(replica.deployment.id, None)

    async def stop_all(self, grace: float) -> None:
        """End every replica and wait for it; none is started any more."""
        self._closing = True
        replicas = list(self.replicas.values())
        for each in replicas:
            each.stop("the stand stops", grace)
        for each in replicas:
            await each.over
        await self._fork_servers.close()

    def _note(self, replica: Replica) -> None:
        known = self.failing.get(replica.deployment.id)
        if replica.state == "ready" and known is not None:
            known.unready = 0
        elif replica.state == "ended" and not replica.asked:
            times = known.times + 1 if known is not None else 1
            unready = 1 + (known.unready if known is not None else 0) if replica.took is None else 0
            rest = min(self._settings.backoff_most, self._settings.backoff * 2 ** min(times - 1, 20))
            reason = replica.failure or "it ended"
            step = replica.advice() if replica.id not in self._trials else None
            if step is not None:
                replica.say(f"advice: {step}")
            self.failing[replica.deployment.id] = Failing(times, reason, time.monotonic() + rest, unready, step)
        for tell in self.changed:
            try:
                tell(replica)
            except Exception:
                log.exception("the change of replica %s was not followed", replica.id)
        if replica.state == "ended":
            self.replicas.pop(replica.id, None)
            self._trials.discard(replica.id)

    def _warm_up(self, replica: Replica, start: Start) -> None:
        """Keep what the app has imported, and have a fork server for the version's next replicas."""
        worker = replica.worker
        if worker is None or not self._settings.fork_servers:
            return
        modules = self._settings.data / "modules" / f"{replica.deployment.id}.json"
        if not modules.exists():
            modules.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(modules, "w", encoding="utf-8", opener=open_private) as file:
                json.dump(worker.modules, file)
        self._fork_servers.warm_up(start, modules, replica.say)

    def _card(self, share: bool) -> str | None:
        used = Counter(each.gpu for each in self.replicas.values())
        free = [card for card in self._settings.gpus if not used[card]]
        if free:
            return free[0]
        return min(self._settings.gpus, key=lambda card: used[card], default=None) if share else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
