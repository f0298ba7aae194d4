"""The id under which another front sends a request again, so that it makes one call however often it arrives."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["REPEAT_ID"]

# Of the request that the current task serves; None where no other front has forwarded it.
REPEAT_ID: ContextVar[str | None] = ContextVar("REPEAT_ID", default=None)
