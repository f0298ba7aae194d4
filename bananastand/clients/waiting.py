"""Waiting for work by looking at it again and again. Knows no provider and no HTTP library."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from .call import Call, Flow, Pause, Session
from .errors import APITimeoutError, CallCancelled, DeadlineExceeded

__all__ = ["POLL", "wait"]

T = TypeVar("T")

POLL = 4.0  # seconds between two looks; 3 to 5 are advised for PaperBanana (D:627)
SHORTEST = 1.0  # second, that a last look may take


def wait(
    session: Session,
    look: Call[T],
    finished: Callable[[T], bool],
    state: Callable[[Any], str],
    *,
    poll: float,
    deadline: float,
    on_check: Callable[[T], object] | None,
    cancelled: Callable[[], bool] | None,
) -> Flow[T]:
    """Make a call every `poll` seconds, past the cache, until its answer is finished.

    `state` says of the last answer, or of None, in words how it is. Raises DeadlineExceeded after `deadline` seconds,
    which no look outlasts, and CallCancelled once `cancelled` is true.
    """
    until, last = time.monotonic() + deadline, None
    while True:
        if cancelled is not None and cancelled():
            raise CallCancelled(f"{state(last)} and no longer waited for")
        patience = min(look.timeout or session.timeout, max(until - time.monotonic(), SHORTEST))
        try:
            last = yield from session.send(replace(look, fresh=True, timeout=patience))
        except APITimeoutError:
            if time.monotonic() < until:
                raise
        else:
            if on_check is not None:
                on_check(last)
            if finished(last):
                return last
        if (left := until - time.monotonic()) <= 0:
            raise DeadlineExceeded(f"{state(last)} after {deadline:g} s", last)
        yield Pause(min(poll, left), cancelled)
