"""How long the work behind a call takes, as a test wants it. Knows no kind of work."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Tasks"]


@dataclass(slots=True)
class Tasks:
    """When work that begins from now on is done, and how the next pieces of it end.

    `immediately` is the default; `after_polls` lets it be asked for `polls` times first; `after_seconds` takes that
    long on the world's clock.
    """

    mode: Literal["immediately", "after_polls", "after_seconds"] = "immediately"
    polls: int = 0
    seconds: float = 0.0
    failures: int = 0
    failure: str = ""

    def finish_immediately(self) -> None:
        """Work is done as soon as it begins."""
        self.mode = "immediately"

    def finish_after_polls(self, polls: int) -> None:
        """Work is seen running that many times."""
        self.mode, self.polls = "after_polls", polls

    def finish_after_seconds(self, seconds: float) -> None:
        """Work takes that long on the world's clock."""
        self.mode, self.seconds = "after_seconds", seconds

    def fail_next(self, count: int = 1, message: str = "the task was told to fail") -> None:
        """The next pieces of work end badly."""
        self.failures, self.failure = count, message

    def take_failure(self) -> str | None:
        """The message with which the work at hand is to fail, if it is."""
        if self.failures == 0:
            return None
        self.failures -= 1
        return self.failure

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def load(self, state: dict[str, Any]) -> None:
        """Take over dumped settings."""
        for key, value in asdict(Tasks(**state)).items():
            setattr(self, key, value)
