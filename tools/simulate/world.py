"""What is outside of the platform's process and outlives it: time, chance, the trace, and what has happened."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Execution", "Profile", "Violation", "World"]


class Violation(AssertionError):
    """Something has happened that must never happen."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How the world of one seed behaves. Rates are probabilities of one event, or events in a virtual second."""

    concurrency: int
    replicas_most: int
    replicas_least: int
    attempts: int
    inference_timeout: int
    calls: int
    spread: float  # seconds in which callers come
    death: float  # a replica's chance to die in a second
    bad_start: float
    hang: float  # chance of a replica to hang, once
    flaky_health: float
    busy: float
    disk_failure: float  # chance of a write to fail
    disk_outage: float  # chance of a long outage
    kills: int  # of the platform
    stops: int  # of the platform, in order
    leave: float  # chance of a caller to leave
    repeats: float  # chance of a call to be sent again under its id
    bad_calls: float  # chance of a call to be one that crashes, sticks, or is garbage
    clock_jumps: float
    nodes: int  # 0 for one machine without GPUs
    gpus: int  # of each node
    node_loss: float  # chance of a node to die, every ten seconds or so
    node_freeze: float
    node_lies: float  # chance of a node to say that it has room when it has none, or the other way round
    cordons: float

    @classmethod
    def of(cls, chance: random.Random) -> Profile:
        """Return a random profile. Every kind of fault occurs in about half of the seeds."""

        def at_times(most: float) -> float:
            return chance.uniform(0.2, 1.0) * most if chance.random() < 0.5 else 0.0

        return cls(
            concurrency=chance.choice((1, 1, 2, 4)), replicas_most=chance.choice((1, 1, 2, 3)),
            replicas_least=chance.choice((0, 0, 1)), attempts=chance.choice((1, 2, 3)),
            inference_timeout=chance.choice((5, 10, 20)), calls=chance.randint(3, 20), spread=chance.uniform(1.0, 60.0),
            death=at_times(0.1), bad_start=at_times(0.4), hang=at_times(0.4), flaky_health=at_times(0.3),
            busy=at_times(0.3), disk_failure=at_times(0.1), disk_outage=at_times(0.02),
            kills=chance.choice((0, 0, 0, 1, 2, 3)), stops=chance.choice((0, 0, 0, 1)), leave=at_times(0.2),
            repeats=at_times(0.5), bad_calls=at_times(0.5), clock_jumps=at_times(0.5),
            nodes=chance.choice((0, 1, 2, 3)), gpus=chance.choice((1, 1, 2)), node_loss=at_times(0.4),
            node_freeze=at_times(0.4), node_lies=at_times(0.3), cordons=at_times(0.3),
        )  # fmt: skip


@dataclass(slots=True)
class Execution:
    """One run of a handler; `alone` is whether no other ran beside it at any time, `end` how it ended."""

    replica: str
    began: float
    alone: bool = True
    end: str = "runs"  # runs, answered, died, lost, cancelled, killed


@dataclass(slots=True)
class World:
    """The world of one seed, which decides everything."""

    seed: int
    chance: random.Random = field(init=False)
    profile: Profile = field(init=False)
    trace: list[tuple[float, str, str]] = field(default_factory=list)
    clock: Callable[[], float] = lambda: 0.0
    skew: float = 0.0  # of the wall clock
    healing: bool = False  # nothing misbehaves any more
    dead: bool = False  # the platform's process is
    kills: int = 0
    faults: int = 0  # of replicas, in this life of the platform
    acknowledged: dict[str, str] = field(default_factory=dict)  # call id -> its name
    answers: dict[str, tuple[int, str | None]] = field(default_factory=dict)  # call id -> status and error
    executions: dict[str, list[Execution]] = field(default_factory=dict)  # by run id
    lost_requests: dict[str, int] = field(default_factory=dict)  # by run id: sent to a replica that had died
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.profile = Profile.of(self.chance)

    @property
    def now(self) -> float:
        """The virtual time in seconds."""
        return self.clock()

    def read_clock(self) -> float:
        """Return the virtual time, in place of the machine's clock."""
        return self.clock()

    def violate(self, what: str) -> None:
        """Note a violation; the simulation ends with this step."""
        self.note("INVARIANT", what)
        self.violations.append(what)

    def platform_ends(self, recorded: Callable[[str], bool]) -> None:
        """Note that the platform's process ends: what was answered but not recorded may run again."""
        for run_id, executions in self.executions.items():
            if not recorded(run_id):
                for execution in executions:
                    if execution.end in ("runs", "answered", "cancelled"):
                        execution.end = "killed"

    def note(self, actor: str, event: str) -> None:
        """Add a line to the trace."""
        self.trace.append((self.now, actor, event))

    def happens(self, rate: float) -> bool:
        """Return whether a fault of that probability occurs."""
        return not self.healing and rate > 0 and self.chance.random() < rate

    def soon(self, mean: float) -> float:
        """Return a random wait with that mean, in seconds."""
        return self.chance.expovariate(1.0 / mean)

    def text(self, last: int = 400) -> str:
        """Return the last events of the trace as text."""
        lines = [f"{moment:10.3f}  {actor:<14} {event}" for moment, actor, event in self.trace[-last:]]
        left_out = len(self.trace) - len(lines)
        return "\n".join(([f"... {left_out} earlier events"] if left_out else []) + lines)
