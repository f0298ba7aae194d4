"""What the autoscaler knows of a project, and what it decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Decision", "Demand", "ReplicaState"]


class ReplicaState(NamedTuple):
    """A replica of the version that takes traffic. Times are on the clock of `now`."""

    id: str
    state: str
    inflight: int
    idle_since: float


@dataclass(frozen=True, slots=True)
class Demand:
    """A project as it is now.

    Attributes:
        project: Its id.
        minimum: The fewest replicas it may have.
        maximum: The most replicas it may have.
        idle_timeout: Seconds after which an idle replica is drained.
        concurrency: Calls that a replica runs at once.
        waiting: Calls in its queue.
        running: Calls in its replicas.
        oldest: When its first waiting call was queued; None if none waits.
        last_served: When a call was last handed to a replica.
        rests_until: When a version that failed to start may be tried again.
        replicas: Its replicas.
        needs: Names what a replica of it needs of a node; projects with equal needs fit the same nodes.
    """

    project: str
    minimum: int
    maximum: int
    idle_timeout: float
    concurrency: int
    waiting: int
    running: int
    oldest: float | None
    last_served: float
    rests_until: float
    replicas: tuple[ReplicaState, ...]
    needs: str = ""

    def active(self) -> list[ReplicaState]:
        """Return the replicas that start or are ready."""
        return [replica for replica in self.replicas if replica.state in ("starting", "ready")]


@dataclass(slots=True)
class Decision:
    """What to do now.

    Attributes:
        starts: Projects to start a replica of; one may occur several times.
        stops: Replicas to drain, and why.
        wake: When to decide again at the latest; None if only a change matters.
    """

    starts: list[str] = field(default_factory=list[str])
    stops: dict[str, str] = field(default_factory=dict[str, str])
    wake: float | None = None

    def wake_at(self, moment: float) -> None:
        """Decide again at that moment at the latest."""
        self.wake = moment if self.wake is None else min(self.wake, moment)
