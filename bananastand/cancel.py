"""The one seam through which a host tells an engine that a caller is gone or out of time.

Knows neither HTTP nor diffusion. A host opens a `scope` around a handler; whatever works inside asks the scope's
token at every point where it can stop. Threads do not inherit a scope: hand the token over.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from contextvars import ContextVar

__all__ = ["Cancelled", "Token", "current", "scope"]


class Cancelled(Exception):
    """The work was called off; the text says by what."""


class Token:
    """One caller's wish to go on. Safe to use from any thread.

    timeout: seconds from now after which the work is called off, or None for no limit.
    """

    def __init__(self, timeout: float | None = None) -> None:
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._reason: str | None = None

    def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Call the work off; the first reason stands."""
        self._reason = self._reason or reason

    def check(self) -> None:
        """Raise Cancelled if the work was called off or its time is up."""
        if self._reason is None and self._deadline is not None and time.monotonic() >= self._deadline:
            self._reason = "out of time"
        if self._reason is not None:
            raise Cancelled(self._reason)


_current: ContextVar[Token | None] = ContextVar("bananastand_cancel", default=None)


def current() -> Token | None:
    """The token of the innermost scope, if any."""
    return _current.get()


@contextlib.contextmanager
def scope(token: Token) -> Generator[Token]:
    """Make `token` the current one inside the with block."""
    reset = _current.set(token)
    try:
        yield token
    finally:
        _current.reset(reset)
