"""Who goes next: a policy ranks the requests of an engine before each forward. Knows nothing of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["POLICIES", "Policy", "Ranked", "ShortestRemaining", "fifo", "find_policy", "round_robin"]


class Ranked(Protocol):
    """What a policy may know of a request. Times are seconds of time.monotonic()."""

    @property
    def number(self) -> int:
        """Its place in the order of arrival."""
        ...

    @property
    def arrived(self) -> float: ...

    @property
    def stepped(self) -> float:
        """When it last took part in a forward; `arrived` before the first."""
        ...

    @property
    def remaining(self) -> float:
        """Seconds of forwards it still needs, as estimated from those of its size so far."""
        ...


Policy = Callable[[Ranked], float]
"""The request of the smallest value goes first, and with it as many alike as the forward holds."""


@dataclass(frozen=True)
class ShortestRemaining:
    """Shortest remaining work first, which makes the mean wait least; `ageing` keeps the long from starving.

    A request that needs r seconds more gives way only to those that arrive within r / ageing seconds after it, so its
    wait is bounded by the work that arrives in that time.
    """

    ageing: float = 0.05

    def __call__(self, request: Ranked) -> float:
        return request.remaining + self.ageing * request.arrived


def fifo(request: Ranked) -> float:
    """First come, first served, to the end."""
    return request.number


def round_robin(request: Ranked) -> float:
    """One step each in turn."""
    return request.stepped


POLICIES: dict[str, Policy] = {"shortest": ShortestRemaining(), "fifo": fifo, "round-robin": round_robin}


def find_policy(policy: Policy | str) -> Policy:
    """The policy itself, or the one of that name. Raises ValueError."""
    if isinstance(policy, str) and policy not in POLICIES:
        raise ValueError(f"policy is {policy!r}; {', '.join(POLICIES)} are known")
    return POLICIES[policy] if isinstance(policy, str) else policy
