"""Memory for bodies that are read whole, of all requests of a server together. Knows no request."""

from __future__ import annotations

__all__ = ["BodyBudget"]


class BodyBudget:
    """Counts bytes. One body alone may take more than there is, so that a limit of a body's own size decides.

    Args:
        most: Bytes that all bodies together may hold.
    """

    def __init__(self, most: int) -> None:
        self._most, self.held = most, 0

    def take(self, own: int, more: int) -> bool:
        """Whether a body that holds `own` bytes may hold so many more; then they are counted."""
        if self.held + more > self._most and self.held > own:
            return False
        self.held += more
        return True

    def free(self, size: int) -> None:
        """A body is done with."""
        self.held -= size
