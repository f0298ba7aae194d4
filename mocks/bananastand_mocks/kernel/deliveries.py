"""The attempts to deliver a message of the mock's own, such as a webhook."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Deliveries", "DeliveryAttempt"]


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One attempt.

    Attributes:
        at: Seconds since 1970 on the world's clock.
        subject: What the message is about, such as a task's id.
        url: The address without secrets.
        status: The status of the response; None without one.
        error: Why the attempt failed; None where it did not.
    """

    at: float
    subject: str
    url: str
    status: int | None
    error: str | None


class Deliveries(list[DeliveryAttempt]):
    """The attempts to deliver one message, oldest first."""

    @property
    def waits(self) -> list[float]:
        """Seconds between each attempt and the one before it; 0 for the first."""
        return [round(attempt.at - self[max(i - 1, 0)].at, 3) for i, attempt in enumerate(self)]
