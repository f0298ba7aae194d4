"""Cancellation: how the host of an app tells an engine that a caller is gone or its time is up.

A host opens a `scope` around a handler; code inside checks the scope's token wherever it can stop. Threads do not
inherit a scope: pass the token to them.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from contextvars import ContextVar

__all__ = ["Cancelled", "Token", "current", "scope"]


class Cancelled(Exception):
    """The work was cancelled; the text says why."""


class Token:
    """Whether one caller's work goes on. Safe to use from any thread.

    Args:
        timeout: Seconds from now after which the work is cancelled; None for no limit.
    """

    def __init__(self, timeout: float | None = None) -> None:
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._reason: str | None = None

    def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Cancel the work; the first reason counts."""
        self._reason = self._reason or reason

    def check(self) -> None:
        """Raise Cancelled if the work was cancelled or its time is up."""
        if self._reason is None and self._deadline is not None and time.monotonic() >= self._deadline:
            self._reason = "out of time"
        if self._reason is not None:
            raise Cancelled(self._reason)


_current: ContextVar[Token | None] = ContextVar("bananastand_cancel", default=None)


def current() -> Token | None:
    """Return the token of the innermost scope, if any."""
    return _current.get()


@contextlib.contextmanager
def scope(token: Token) -> Generator[Token]:
    """Make `token` the current one in the with block."""
    reset = _current.set(token)
    try:
        yield token
    finally:
        _current.reset(reset)
