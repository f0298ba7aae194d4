"""Rate limits: fixed windows that count calls. Without a rule nothing is limited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Allowance", "RateLimits"]


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a window after a call.

    Attributes:
        allowed: Whether the call may pass.
        limit: Calls in a window.
        remaining: Calls that are left.
        reset: When the next window begins, in seconds since 1970.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: float


class RateLimits:
    """The limits of one world: calls in a window of seconds, for each rule and subject (a key or a tenant)."""

    def __init__(self) -> None:
        self._rules: dict[str, tuple[int, float]] = {}
        self._windows: dict[str, tuple[float, int]] = {}

    def set(self, rule: str, calls: int, seconds: float) -> None:
        """Allow `calls` in `seconds`, counted anew from now. Raises ValueError for a negative or empty window."""
        if calls < 0 or seconds <= 0:
            raise ValueError("calls is 0 or more, seconds more than 0")
        self._rules[rule] = (calls, seconds)
        self._windows.clear()

    def unset(self, rule: str) -> None:
        """Remove a rule."""
        self._rules.pop(rule, None)

    def take(self, rule: str, subject: str, now: float) -> Allowance | None:
        """Count a call; a refused one does not count.

        Args:
            rule: The rule's name.
            subject: Whose calls are counted together.
            now: Seconds since 1970.

        Returns:
            What is left, or None where no rule has that name.
        """
        if rule not in self._rules:
            return None
        calls, seconds = self._rules[rule]
        begun, used = self._windows.get(f"{rule} {subject}", (now, 0))
        if now >= begun + seconds:
            begun, used = now, 0
        allowed = used < calls
        used += allowed
        self._windows[f"{rule} {subject}"] = (begun, used)
        return Allowance(allowed, calls, calls - used, begun + seconds)

    def dump(self) -> dict[str, Any]:
        """Return rules and running windows as JSON."""
        return {
            "rules": {rule: {"calls": calls, "seconds": seconds} for rule, (calls, seconds) in self._rules.items()},
            "windows": {key: {"begun": begun, "used": used} for key, (begun, used) in self._windows.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over dumped limits."""
        self._rules = {rule: (int(row["calls"]), float(row["seconds"])) for rule, row in state["rules"].items()}
        self._windows = {key: (float(row["begun"]), int(row["used"])) for key, row in state["windows"].items()}
