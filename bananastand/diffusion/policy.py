"""Who goes next: a policy ranks the requests of an engine before each forward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["POLICIES", "Policy", "Ranked", "ShortestRemaining", "fifo", "find_policy", "round_robin"]


class Ranked(Protocol):
    """What a policy may know about a request. Times are seconds of time.monotonic()."""

    @property
    def number(self) -> int:
        """Place in the order of arrival."""
        ...

    @property
    def arrived(self) -> float:
        """When the request was submitted."""
        ...

    @property
    def stepped(self) -> float:
        """When the request last took part in a forward; `arrived` before the first."""
        ...

    @property
    def remaining(self) -> float:
        """Seconds of forwards still to do, as estimated from forwards of its size."""
        ...


Policy = Callable[[Ranked], float]
"""Ranks a request: the smallest value goes first, together with requests like it that fill the batch."""


@dataclass(frozen=True)
class ShortestRemaining:
    """Shortest remaining work first, for the least mean wait.

    A request that needs r seconds more gives way only to those that arrive within r / ageing seconds after it, so its
    wait is bounded by the work that arrives in that time.

    Attributes:
        ageing: Keeps long requests from starving; 0 would never let them pass a shorter one.
    """

    ageing: float = 0.05

    def __call__(self, request: Ranked) -> float:
        """Rank a request by its remaining work and its arrival."""
        return request.remaining + self.ageing * request.arrived


def fifo(request: Ranked) -> float:
    """First come, first served, until it is finished."""
    return request.number


def round_robin(request: Ranked) -> float:
    """Each request takes one step in turn."""
    return request.stepped


POLICIES: dict[str, Policy] = {"shortest": ShortestRemaining(), "fifo": fifo, "round-robin": round_robin}


def find_policy(policy: Policy | str) -> Policy:
    """Return a policy by its name; a function is returned as it is. Raises ValueError."""
    if isinstance(policy, str) and policy not in POLICIES:
        raise ValueError(f"policy is {policy!r}; {', '.join(POLICIES)} are known")
    return POLICIES[policy] if isinstance(policy, str) else policy
