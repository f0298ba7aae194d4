"""Faults that the platform once had, to be put back in: the simulator must find each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest import mock

from bananastand.platform.errors import StoreError
from bananastand.platform.scheduling.attempts import BUSY, Attempt, Attempts
from bananastand.platform.scheduling.dispatcher import AGAIN, Dispatcher

__all__ = ["FAULTS"]


def _jammed_replica() -> AbstractContextManager[Any]:
    """An exception in an attempt ends its task: the place in the replica, the entry and the caller stay."""

    async def run(self: Any, project: Any, line: Any, pending: Any, replica: Any) -> None:
        pending.task, begun = asyncio.current_task(), time.monotonic()
        try:
            pending.call = await self._calls.lease(pending.made, replica.id, project.inference_timeout)
        except StoreError:
            await asyncio.sleep(AGAIN)
            self._settle(line, pending, Attempt(pending.cancelled), 0.0)
            replica.release()
            self.pump(project.id)
            return
        try:
            attempt = await _make_without_net(self._attempts, project, pending, replica)
        except asyncio.CancelledError:
            attempt = Attempt(pending.cancelled, counted=False)
        pending.task = None
        if attempt.outcome is None and attempt.pause and not self.closing:
            await asyncio.sleep(attempt.pause)
        self._settle(line, pending, attempt, time.monotonic() - begun)
        if attempt.busy is not None and not self.closing:
            await self._attempts.until_free(replica, attempt)
        replica.release()
        self.pump(project.id)

    return mock.patch.object(Dispatcher, "_run", run)


async def _make_without_net(attempts: Any, project: Any, pending: Any, replica: Any) -> Attempt:
    attempt = await attempts.make(project, pending, replica)
    if attempt.outcome is not None and (attempt.outcome.error or "").startswith("the platform failed"):
        raise RuntimeError(attempt.outcome.error)
    return attempt


def _busy_answer() -> AbstractContextManager[Any]:
    """An app's own 503 is taken for "no handler has run"."""
    ask = Attempts._ask  # pyright: ignore[reportPrivateUsage]

    async def repeat(self: Any, project: Any, pending: Any, replica: Any, request: Any) -> Attempt:
        attempt = await ask(self, project, pending, replica, request)
        if attempt.outcome is not None and attempt.outcome.status == 503:
            return Attempt(None, counted=False, pause=BUSY)
        return attempt

    return mock.patch.object(Attempts, "_ask", repeat)


def _shared_death() -> AbstractContextManager[Any]:
    """A replica's death counts for all calls in it, and they are tried again together."""
    lost = Attempts._lost  # pyright: ignore[reportPrivateUsage]

    async def count(self: Any, pending: Any, replica: Any, what: str) -> Attempt:
        pending.shared = False
        return replace(await lost(self, pending, replica, what), alone=False)

    return mock.patch.object(Attempts, "_lost", count)


FAULTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "jammed-replica": _jammed_replica,
    "busy-answer": _busy_answer,
    "shared-death": _shared_death,
}
