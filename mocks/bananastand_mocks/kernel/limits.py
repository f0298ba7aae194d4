"""Rate limits that count. Knows no provider's header names; without a rule nothing is limited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Allowance", "Limits"]


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a window after this call; `reset` is when the next begins, in seconds since 1970."""

    allowed: bool
    limit: int
    remaining: int
    reset: float


class Limits:
    """Fixed windows: so many calls in so many seconds, for each rule and subject (a key or a tenant)."""

    def __init__(self) -> None:
        self._rules: dict[str, tuple[int, float]] = {}
        self._windows: dict[str, tuple[float, int]] = {}

    def set(self, rule: str, calls: int, seconds: float) -> None:
        """Allow `calls` in `seconds`, counted anew from now."""
        if calls < 0 or seconds <= 0:
            raise ValueError("calls is 0 or more, seconds more than 0")
        self._rules[rule] = (calls, seconds)
        self._windows.clear()

    def unset(self, rule: str) -> None:
        """No limit any more."""
        self._rules.pop(rule, None)

    def take(self, rule: str, subject: str, now: float) -> Allowance | None:
        """Count a call; None where no rule is set. A refused call is not counted."""
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
        """Rules and running windows as JSON."""
        return {
            "rules": {rule: {"calls": calls, "seconds": seconds} for rule, (calls, seconds) in self._rules.items()},
            "windows": {key: {"begun": begun, "used": used} for key, (begun, used) in self._windows.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over dumped limits."""
        self._rules = {rule: (int(each["calls"]), float(each["seconds"])) for rule, each in state["rules"].items()}
        self._windows = {key: (float(each["begun"]), int(each["used"])) for key, each in state["windows"].items()}
