"""Faults that a test asks for, counted per operation. Knows no provider's error body and no transport."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any, Literal, get_args

__all__ = ["Fault", "Faults", "Kind"]

Kind = Literal["status", "latency", "slow_body", "truncated_body", "reset", "malformed_json"]

COUNTERS = ("seen", "struck")
KEPT = 100


@dataclass(slots=True)
class Fault:
    """What goes wrong, and for which calls.

    `operation` is an operationId or "*". It strikes calls `first` to `last`, counted from 1 over the calls of that
    operation since the fault was set; `last` None means for good. With `probability` it strikes some of them, drawn
    from the world's seed. `status` is for status faults, `seconds` for latency (before the answer, real time) and
    slow_body (spread over the body).
    """

    kind: Kind
    operation: str = "*"
    first: int = 1
    last: int | None = None
    status: int = 500
    message: str = ""
    seconds: float = 0.0
    probability: float = 1.0
    seen: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind is one of {', '.join(get_args(Kind))}")
        if self.first < 1 or (self.last is not None and self.last < self.first):
            raise ValueError("first is counted from 1, and last is not before first")
        if not 400 <= self.status <= 599:
            raise ValueError("status is 400 to 599")
        if not 0 <= self.probability <= 1 or not 0 <= self.seconds <= 600:
            raise ValueError("probability is 0 to 1, seconds 0 to 600")


class Faults:
    """The faults of one world, in the order in which they were set."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._faults: list[Fault] = []

    def __len__(self) -> int:
        return len(self._faults)

    def next_calls(self, count: int, kind: Kind, operation: str = "*", **details: Any) -> Fault:
        """Strike the next `count` calls."""
        return self.add(Fault(kind, operation, last=count, **details))

    def add(self, fault: Fault) -> Fault:
        """Set a fault. Those that are over are kept, to tell what they struck, until there are too many."""
        if len(self._faults) >= KEPT:
            self._faults = [each for each in self._faults if each.last is None or each.seen < each.last]
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """No more faults."""
        self._faults.clear()

    def strike(self, operation: str) -> list[Fault]:
        """The faults of the call that is now made to an operation."""
        return [each for each in self._faults if each.operation in ("*", operation) and self._strikes(each)]

    def dump(self) -> list[dict[str, Any]]:
        """The faults as JSON, with how many calls they have seen and struck."""
        return [asdict(each) for each in self._faults]

    def load(self, state: list[dict[str, Any]]) -> None:
        """Take over dumped faults."""
        self._faults = [_loaded(each) for each in state]

    def _strikes(self, fault: Fault) -> bool:
        fault.seen += 1
        if fault.seen < fault.first or (fault.last is not None and fault.seen > fault.last):
            return False
        if fault.probability < 1 and self._random.random() >= fault.probability:
            return False
        fault.struck += 1
        return True


def _loaded(state: dict[str, Any]) -> Fault:
    asked = {name: value for name, value in state.items() if name not in COUNTERS}
    fault = Fault(**asked)
    fault.seen, fault.struck = (int(state.get(name, 0)) for name in COUNTERS)
    return fault
