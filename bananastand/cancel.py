"""The seam through which a host tells an engine that a caller is gone or out of time.

A host opens a `scope` around a handler. Code in it asks the scope's token at every point where it can stop. Threads do
not inherit a scope: pass the token to them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextvars import ContextVar

from .worker.cancellation import Cancelled, Token

__all__ = ["Cancelled", "Token", "current", "scope"]

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
