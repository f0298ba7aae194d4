"""Fault injection: what a test wants to go wrong, counted per operation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any, Literal, get_args

from bananastand.contracts.json_body import dump
from bananastand.contracts.response import JSON, ApiResponse

from .custom_headers import check_headers

__all__ = ["Fault", "FaultKind", "Faults"]

FaultKind = Literal["status", "latency", "slow_body", "truncated_body", "reset", "malformed_json"]

COUNTERS = ("seen", "struck")
MAX_FAULTS = 100  # from here on those that are over are dropped


@dataclass(slots=True)
class Fault:
    """What goes wrong, and for which calls.

    Attributes:
        kind: What goes wrong.
        operation: An operationId, or "*" for all operations.
        first: The first call that it strikes, counted from 1 over the operation's calls since it was set.
        last: The last such call; None for no end.
        status: The HTTP status of a status fault, 400 to 599.
        message: The message of a status fault.
        headers: Headers of a status fault's response, such as Retry-After; their names become lower case.
        body: The body of a status fault's response: text, or any other JSON. None is the provider's own error body.
        seconds: Of latency (before the response, in real time) or slow_body (spread over the body); 0 to 600.
        probability: Of a strike, 0 to 1, drawn from the world's seed.
        seen: How many calls it was compared with.
        struck: How many of them it struck.
    """

    kind: FaultKind
    operation: str = "*"
    first: int = 1
    last: int | None = None
    status: int = 500
    message: str = ""
    seconds: float = 0.0
    probability: float = 1.0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: Any = None
    seen: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"kind is one of {', '.join(get_args(FaultKind))}")
        if self.first < 1 or (self.last is not None and self.last < self.first):
            raise ValueError("first is counted from 1, and last is not before first")
        if not 400 <= self.status <= 599:
            raise ValueError("status is 400 to 599")
        if not 0 <= self.probability <= 1 or not 0 <= self.seconds <= 600:
            raise ValueError("probability is 0 to 1, seconds 0 to 600")
        if self.kind != "status" and (self.headers or self.body is not None):
            raise ValueError("headers and body belong to a fault of the kind status")
        self.headers = check_headers(self.headers)
        dump(self.body)  # raises ValueError for what is no JSON

    def change(self, response: ApiResponse) -> None:
        """Give a response to a struck call this fault's headers and body."""
        headers = dict(self.headers)
        if self.body is not None:
            response.body, response.content_type = self.body, JSON
            if isinstance(self.body, str):
                response.body, response.content_type = self.body.encode("utf-8"), "text/plain; charset=utf-8"
        response.content_type = headers.pop("content-type", response.content_type)
        response.headers = {**response.headers, **headers}

    def strikes(self, random: Random) -> bool:
        """Count a call, and return whether the fault strikes it."""
        self.seen += 1
        if self.seen < self.first or (self.last is not None and self.seen > self.last):
            return False
        if self.probability < 1 and random.random() >= self.probability:
            return False
        self.struck += 1
        return True


class Faults:
    """The faults of one world, in the order in which they were set."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._faults: list[Fault] = []

    def __len__(self) -> int:
        return len(self._faults)

    def next_calls(self, count: int, kind: FaultKind, operation: str = "*", **details: Any) -> Fault:
        """Set a fault that strikes the next `count` calls; `details` are further attributes of it."""
        return self.add(Fault(kind, operation, last=count, **details))

    def add(self, fault: Fault) -> Fault:
        """Set a fault. Those that are over stay in the list with their counters until there are too many."""
        if len(self._faults) >= MAX_FAULTS:
            self._faults = [other for other in self._faults if other.last is None or other.seen < other.last]
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def strike(self, operation: str) -> list[Fault]:
        """Count a call to an operation, and return the faults that strike it."""
        return [fault for fault in self._faults if fault.operation in ("*", operation) and fault.strikes(self._random)]

    def dump(self) -> list[dict[str, Any]]:
        """Return the faults as JSON, with how many calls they have seen and struck."""
        return [asdict(fault) for fault in self._faults]

    def load(self, state: list[dict[str, Any]]) -> None:
        """Take over dumped faults."""
        self._faults = [_loaded(row) for row in state]


def _loaded(state: dict[str, Any]) -> Fault:
    fault = Fault(**{name: value for name, value in state.items() if name not in COUNTERS})
    fault.seen, fault.struck = (int(state.get(name, 0)) for name in COUNTERS)
    return fault
