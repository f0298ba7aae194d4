"""Tells an application that waits that its caller has left, without a task that waits for ASGI's disconnect."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Departure", "departure_of"]

EXTENSION = "bananastand.departure"


class Departure:
    """Whether the caller of one request has left.

    Attributes:
        has_left: Whether the connection has ended before the response.
    """

    __slots__ = ("_watcher", "has_left")

    def __init__(self) -> None:
        self.has_left = False
        self._watcher: asyncio.Future[None] | None = None

    def leave(self) -> None:
        """Note that the caller has left."""
        self.has_left = True
        if self._watcher is not None and not self._watcher.done():
            self._watcher.set_result(None)

    def watch(self, watcher: asyncio.Future[None]) -> None:
        """Set the result of `watcher` when the caller leaves; only the latest watcher counts."""
        self._watcher = watcher
        if self.has_left and not watcher.done():
            watcher.set_result(None)

    def add_to(self, scope: Any) -> None:
        """Make it part of a request's scope, for `departure_of`."""
        scope.setdefault("extensions", {})[EXTENSION] = self


def departure_of(scope: Any) -> Departure:
    """Return the departure of a request that `LimitedProtocol` has received."""
    return scope["extensions"][EXTENSION]
