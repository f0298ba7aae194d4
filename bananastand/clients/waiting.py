"""Waits for work by checking its state again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from .clock import ADVANCE, ServerClock
from .errors import APITimeoutError, CallCancelled, ClockStopped, DeadlineExceeded
from .request import ClientRequest
from .session import ClientSession, Flow, Pause

__all__ = ["POLL", "wait"]

T = TypeVar("T")

POLL = 4.0  # seconds between two checks; 3 to 5 are advised for PaperBanana (D:627)
SHORTEST = 1.0  # seconds that the last check may take at least


def wait(
    session: ClientSession,
    check: ClientRequest[T],
    is_finished: Callable[[T], bool],
    describe: Callable[[Any], str],
    *,
    poll: float,
    deadline: float,
    on_check: Callable[[T], object] | None,
    cancelled: Callable[[], bool] | None,
) -> Flow[T]:
    """Send a request again and again, past the cache, until its result is finished.

    A mock whose virtual clock moves on request is asked to move it, in place of a pause.

    Args:
        session: The client's session.
        check: The request that returns the state.
        is_finished: Whether a state is final.
        describe: Puts the last state, or None before the first, into words for error messages.
        poll: Seconds between two checks.
        deadline: Seconds after which waiting ends; no check outlasts it by more than a second.
        on_check: Called with each state.
        cancelled: Returns true once waiting is to end.

    Returns:
        The final state.

    Raises:
        DeadlineExceeded: The deadline is over.
        ClockStopped: The clock of the mock stands still.
        CallCancelled: `cancelled` returned true.
    """
    until, last, timeout = time.monotonic() + deadline, None, session.timeout_of(check)
    session = replace(
        session, call_timeout=None
    )  # its timeout is the one of this call, or what is left of the deadline
    while True:
        if cancelled is not None and cancelled():
            raise CallCancelled(f"{describe(last)} and no longer waited for")
        within = min(timeout, max(until - time.monotonic(), SHORTEST))
        clock = None
        try:
            response = yield from session.exchange(replace(check, fresh=True, timeout=within))
        except APITimeoutError:
            if time.monotonic() < until:
                raise
        else:
            last, clock = response.result, ServerClock.of(response.headers)
            if on_check is not None:
                on_check(last)
            if is_finished(last):
                return last
        if clock is not None and not clock.moves:
            raise ClockStopped(f"{describe(last)}, and {clock.advice()}", last)
        if (remaining := until - time.monotonic()) <= 0:
            raise DeadlineExceeded(f"{describe(last)} after {deadline:g} s", last)
        pause = min(poll, remaining)
        if clock is None:
            yield Pause(pause, cancelled)
        else:
            until -= pause
            check = replace(check, headers={**check.headers, ADVANCE: f"{pause:.3f}"})
