"""The host's Prometheus metrics, in the global registry, which an app's own metrics share."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

__all__ = ["QUEUED", "REQUESTS", "RUN", "RUNNING", "WAIT"]

_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

REQUESTS = Counter("bananastand_requests", "Requests answered", ("route", "status"))
RUN = Histogram("bananastand_request_run_seconds", "In the handler", ("route",), buckets=_SECONDS)
WAIT = Histogram("bananastand_request_wait_seconds", "Before the handler", ("route",), buckets=_SECONDS)
QUEUED = Gauge("bananastand_requests_queued", "Requests that wait for a handler")
RUNNING = Gauge("bananastand_requests_running", "Handlers at work, background tasks included")
