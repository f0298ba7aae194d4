"""What the stand tells Prometheus, in a registry of its own. Reads the parts when asked, and counts what ends."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from .replicas.pool import Pool
from .replicas.replica import Replica
from .scheduling.dispatcher import Dispatcher
from .scheduling.pending_call import PendingCall
from .store.builds import OVER, Build
from .store.calls import WEBSOCKET, Outcome
from .store.projects import Projects

__all__ = ["Metrics"]

SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
STATES = ("starting", "ready", "draining", "stopping")


class Metrics:
    """Gauges are read from the parts, counters are fed by their notices."""

    def __init__(self, projects: Projects, pool: Pool, dispatcher: Dispatcher, cards: int) -> None:
        self.registry = registry = CollectorRegistry()
        self._projects, self._cards = projects, cards
        self._builds = Counter("bananastand_builds", "Builds that are over", ("state",), registry=registry)
        self._calls = Counter("bananastand_calls", "Calls that are over", ("project", "state"), registry=registry)
        self._cold = Counter("bananastand_cold_starts", "Replicas that got ready", ("project",), registry=registry)
        self._failures = Counter(
            "bananastand_replica_failures", "Replicas that ended by themselves", ("project",), registry=registry
        )
        self._run = Histogram(
            "bananastand_call_run_seconds", "In a replica", ("project",), buckets=SECONDS, registry=registry
        )
        self._wait = Histogram(
            "bananastand_call_wait_seconds", "For a replica", ("project",), buckets=SECONDS, registry=registry
        )
        self._start = Histogram(
            "bananastand_start_seconds", "From start to ready", ("project",), buckets=SECONDS, registry=registry
        )
        registry.register(_Now(projects, pool, dispatcher, cards))
        dispatcher.ended.append(self._ended)
        pool.listeners.append(self._changed)

    def text(self) -> bytes:
        """In Prometheus' format."""
        return generate_latest(self.registry)

    def built(self, build: Build) -> None:
        """A build has changed its state."""
        if build.state in OVER:
            self._builds.labels(build.state).inc()

    def _ended(self, pending: PendingCall, outcome: Outcome, seconds: float) -> None:
        call = pending.made
        name = self._name(call.project_id)
        self._calls.labels(name, "failed" if outcome.error is not None else "succeeded").inc()
        if call.begun is not None:
            if call.method != WEBSOCKET:  # how long one is open says nothing of how quick the app is
                self._run.labels(name).observe(seconds)
            self._wait.labels(name).observe(max(0.0, call.begun - call.created))

    def _changed(self, replica: Replica) -> None:
        name = self._name(replica.project_id)
        if replica.state == "ready" and replica.startup_seconds is not None:
            self._cold.labels(name).inc()
            self._start.labels(name).observe(replica.startup_seconds)
        elif replica.state == "ended" and not replica.is_stop_requested:
            self._failures.labels(name).inc()

    def _name(self, project_id: str) -> str:
        project = self._projects.get(project_id)
        return project.name if project is not None else "removed"


class _Now(Collector):
    """What there is at this moment."""

    def __init__(self, projects: Projects, pool: Pool, dispatcher: Dispatcher, cards: int) -> None:
        self._projects, self._pool, self._dispatcher, self._cards = projects, pool, dispatcher, cards

    def collect(self) -> Iterator[GaugeMetricFamily]:
        replicas = GaugeMetricFamily("bananastand_replicas", "Replicas by state", labels=("project", "state"))
        queued = GaugeMetricFamily("bananastand_calls_queued", "Calls that wait for a replica", labels=("project",))
        running = GaugeMetricFamily("bananastand_calls_running", "Calls at work", labels=("project",))
        memory = GaugeMetricFamily("bananastand_replica_memory_bytes", "Memory of its replicas", labels=("project",))
        for project in self._projects.list():
            own = self._pool.of_project(project.id)
            tally = Tally(each.state for each in own)
            for state in STATES:
                replicas.add_metric((project.name, state), tally[state])
            line = self._dispatcher.line(project.id)
            queued.add_metric((project.name,), len(line.waiting))
            running.add_metric((project.name,), len(line.at_work))
            memory.add_metric((project.name,), sum(each.memory_bytes for each in own))
        yield from (replicas, queued, running, memory)
        cards = GaugeMetricFamily("bananastand_cards", "Cards by use", labels=("use",))
        used = len({each.gpu for each in self._pool.replicas.values() if each.gpu is not None})
        cards.add_metric(("used",), used)
        cards.add_metric(("free",), self._cards - used)
        yield cards
