"""What a front says of itself: its role, which front is active, and whether it reaches the database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from .front import Front

__all__ = ["FrontStatus"]


class FrontStatus(Collector):
    """The state of one front.

    Args:
        front: The front.

    Attributes:
        forwarded: Requests that were sent to the active front.
    """

    def __init__(self, front: Front) -> None:
        self._front, self.forwarded = front, 0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def health(self) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON of a health check: 503 where no request could be answered."""
        front, membership = self._front, self._front.membership
        leader = membership.leader
        is_well = membership.problem is None or (front.role == "standby" and front.leader is not None)
        return 200 if is_well else 503, {
            "alive": True,
            "front": membership.own.name,
            "role": front.role,
            "active": leader.name if leader is not None and leader.front else None,
            "database": membership.problem or "connected",
        }

    def metrics(self) -> bytes:
        """Return the metrics of a front that stands by."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Any]:
        """Yield the metrics, which the platform's own of the active front contain too."""
        membership = self._front.membership
        active = GaugeMetricFamily("bananastand_front_active", "Whether this front is active", labels=("front",))
        active.add_metric((membership.own.name,), float(self._front.app is not None))
        epoch = GaugeMetricFamily("bananastand_front_epoch", "Fronts that have become active so far")
        epoch.add_metric((), float(membership.leader.epoch if membership.leader is not None else 0))
        database = GaugeMetricFamily("bananastand_front_database", "Whether this front reaches the database")
        database.add_metric((), float(membership.problem is None))
        forwarded = CounterMetricFamily("bananastand_front_forwarded", "Requests sent to the active front")
        forwarded.add_metric((), self.forwarded)
        yield from (active, epoch, database, forwarded)
