"""The platform's Prometheus metrics, in a registry of its own."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from .replicas.pool import Pool
from .replicas.replica import Replica
from .scheduling.dispatcher import Dispatcher
from .scheduling.pending_call import PendingCall
from .store.builds import FINAL_STATES, Build
from .store.calls import WEBSOCKET, CallOutcome
from .store.projects import Projects

__all__ = ["Metrics"]

BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
CACHED_SERIES = 1000
STATES = ("starting", "ready", "draining", "stopping")


class Metrics:
    """Gauges are read from the platform's parts at each scrape; counters and histograms follow its events.

    Args:
        projects: The projects.
        pool: The replicas.
        dispatcher: The calls.
    """

    def __init__(self, projects: Projects, pool: Pool, dispatcher: Dispatcher) -> None:
        self.registry = registry = CollectorRegistry()
        self._projects = projects
        self._builds = Counter("bananastand_builds", "Builds that are over", ("state",), registry=registry)
        self._calls = Counter("bananastand_calls", "Calls that are over", ("project", "state"), registry=registry)
        self._cold = Counter("bananastand_cold_starts", "Replicas that got ready", ("project",), registry=registry)
        self._failures = Counter(
            "bananastand_replica_failures", "Replicas that ended by themselves", ("project",), registry=registry
        )
        self._run = Histogram(
            "bananastand_call_run_seconds", "In a replica", ("project",), buckets=BUCKETS, registry=registry
        )
        self._wait = Histogram(
            "bananastand_call_wait_seconds", "For a replica", ("project",), buckets=BUCKETS, registry=registry
        )
        self._start = Histogram(
            "bananastand_start_seconds", "From start to ready", ("project",), buckets=BUCKETS, registry=registry
        )
        # Looking a series up takes longer than counting in it.
        self._count = lru_cache(CACHED_SERIES)(self._calls.labels)
        self._run_of = lru_cache(CACHED_SERIES)(self._run.labels)
        self._wait_of = lru_cache(CACHED_SERIES)(self._wait.labels)
        registry.register(_GaugeCollector(projects, pool, dispatcher))
        dispatcher.on_end.append(self._count_call)
        pool.listeners.append(self._count_start)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def count_build(self, build: Build) -> None:
        """Count a build that has reached its final state."""
        if build.state in FINAL_STATES:
            self._builds.labels(build.state).inc()

    def _count_call(self, pending: PendingCall, outcome: CallOutcome, seconds: float) -> None:
        call = pending.call
        name = self._name(call.project_id)
        self._count(name, "failed" if outcome.error is not None else "succeeded").inc()
        if call.begun is not None:
            if call.method != WEBSOCKET:  # how long one is open does not say how fast the app is
                self._run_of(name).observe(seconds)
            self._wait_of(name).observe(max(0.0, call.begun - call.created))

    def _count_start(self, replica: Replica) -> None:
        name = self._name(replica.project_id)
        if replica.state == "ready" and replica.startup_seconds is not None:
            self._cold.labels(name).inc()
            self._start.labels(name).observe(replica.startup_seconds)
        elif replica.state == "ended" and not replica.is_stop_requested:
            self._failures.labels(name).inc()

    def _name(self, project_id: str) -> str:
        project = self._projects.get(project_id)
        return project.name if project is not None else "removed"


class _GaugeCollector(Collector):
    """Reads the gauges at a scrape."""

    def __init__(self, projects: Projects, pool: Pool, dispatcher: Dispatcher) -> None:
        self._projects, self._pool, self._dispatcher = projects, pool, dispatcher

    def collect(self) -> Iterator[GaugeMetricFamily]:
        replicas = GaugeMetricFamily("bananastand_replicas", "Replicas by state", labels=("project", "state"))
        queued = GaugeMetricFamily("bananastand_calls_queued", "Calls that wait for a replica", labels=("project",))
        running = GaugeMetricFamily("bananastand_calls_running", "Calls at work", labels=("project",))
        memory = GaugeMetricFamily("bananastand_replica_memory_bytes", "Memory of its replicas", labels=("project",))
        for project in self._projects.list():
            own = self._pool.of_project(project.id)
            tally = Tally(replica.state for replica in own)
            for state in STATES:
                replicas.add_metric((project.name, state), tally[state])
            queue = self._dispatcher.queue(project.id)
            queued.add_metric((project.name,), len(queue.waiting))
            running.add_metric((project.name,), len(queue.running))
            memory.add_metric((project.name,), sum(replica.memory_bytes for replica in own))
        yield from (replicas, queued, running, memory)
        gpus = GaugeMetricFamily("bananastand_cards", "GPUs by use", labels=("use",))
        nodes = self._pool.nodes.states()
        free = sum(node.free_gpus for node in nodes)
        gpus.add_metric(("used",), sum(node.gpus for node in nodes) - free)
        gpus.add_metric(("free",), free)
        yield gpus
