"""Tells a handler that its caller is gone or out of time: through `bananastand.cancel` where the app uses it."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any, ContextManager

__all__ = ["Cancelled", "Token", "is_cancelled", "new_token", "scope"]

SEAM = "bananastand.cancel"  # the module through which our engine listens


class Cancelled(Exception):
    """The work was cancelled; the text says why."""


class Token:
    """Says whether a caller still waits. Safe to use from any thread.

    Args:
        timeout: Seconds from now after which the work is cancelled; None for no limit.
    """

    def __init__(self, timeout: float | None = None) -> None:
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._reason: str | None = None

    def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Cancel the work; the first reason stands."""
        self._reason = self._reason or reason

    def check(self) -> None:
        """Raise Cancelled if the work was cancelled or its time is up."""
        if self._reason is None and self._deadline is not None and time.monotonic() >= self._deadline:
            self._reason = "out of time"
        if self._reason is not None:
            raise Cancelled(self._reason)


def new_token(timeout: float | None) -> Any:
    """Return a token of the kind that the app checks."""
    seam = sys.modules.get(SEAM)
    return seam.Token(timeout) if seam is not None else Token(timeout)


def scope(token: Any) -> ContextManager[Any]:
    """Make the token the current one for what runs inside."""
    seam = sys.modules.get(SEAM)
    if seam is None or not isinstance(token, seam.Token):
        return contextlib.nullcontext(token)
    return seam.scope(token)


def is_cancelled(error: BaseException) -> bool:
    """Whether an error says that the work was cancelled."""
    seam = sys.modules.get(SEAM)
    return isinstance(error, Cancelled) or (seam is not None and isinstance(error, seam.Cancelled))
