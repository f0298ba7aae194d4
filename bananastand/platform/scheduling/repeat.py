"""The id under which another front sends a request, so that it makes one call however often it is sent."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["REPEAT", "Repeat"]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A request that may be sent again.

    Attributes:
        id: The same each time.
        is_first: Whether it is sent for the first time.
    """

    id: str
    is_first: bool


# Of the request that the current task serves; None where no other front has forwarded it, or sends it once only.
REPEAT: ContextVar[Repeat | None] = ContextVar("REPEAT", default=None)
