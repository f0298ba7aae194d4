"""How long the work behind a call takes, and whether it fails, as a test sets it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Tasks"]


@dataclass(slots=True)
class Tasks:
    """The settings of work that begins from now on.

    Attributes:
        mode: When work is done: at once, after it was polled `polls` times, or after `seconds` on the world's clock.
        polls: See `mode`.
        seconds: See `mode`.
        failures: How many of the next tasks fail.
        failure: The message with which they fail.
    """

    mode: Literal["immediately", "after_polls", "after_seconds"] = "immediately"
    polls: int = 0
    seconds: float = 0.0
    failures: int = 0
    failure: str = ""

    def finish_immediately(self) -> None:
        """Let work be done as soon as it begins."""
        self.mode = "immediately"

    def finish_after_polls(self, polls: int) -> None:
        """Let work be seen running `polls` times."""
        self.mode, self.polls = "after_polls", polls

    def finish_after_seconds(self, seconds: float) -> None:
        """Let work take `seconds` on the world's clock."""
        self.mode, self.seconds = "after_seconds", seconds

    def fail_next(self, count: int = 1, message: str = "the task was set to fail") -> None:
        """Let the next `count` tasks fail with this message."""
        self.failures, self.failure = count, message

    def take_failure(self) -> str | None:
        """Return the message with which the next task fails, or None if it does not fail."""
        if self.failures == 0:
            return None
        self.failures -= 1
        return self.failure

    def dump(self) -> dict[str, Any]:
        """Return the settings as JSON."""
        return asdict(self)

    def load(self, state: dict[str, Any]) -> None:
        """Take over dumped settings."""
        for key, value in asdict(Tasks(**state)).items():
            setattr(self, key, value)
