"""Faults that the platform once had, for fault injection: the simulator must find every one of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest import mock

from bananastand.platform.errors import StoreError
from bananastand.platform.replicas.pool import Pool
from bananastand.platform.replicas.replica import Replica
from bananastand.platform.scheduling.attempts import BUSY_SECONDS, AttemptResult, AttemptRunner
from bananastand.platform.scheduling.call_runner import CallRunner
from bananastand.platform.scheduling.recorder import RETRY_SECONDS

__all__ = ["FAULTS"]


def _jammed_replica() -> AbstractContextManager[Any]:
    """An exception in an attempt ends its task: the replica's slot is never freed and the caller waits for ever."""

    async def run(self: Any, project: Any, queue: Any, pending: Any, replica: Any) -> None:
        pending.task, begun = asyncio.current_task(), time.monotonic()
        try:
            if pending.call.state == "queued":
                pending.call = await self._calls.lease(pending.call, replica.id, project.inference_timeout)
        except StoreError:
            await asyncio.sleep(RETRY_SECONDS)
            if (outcome := self._settle(queue, pending, AttemptResult(pending.cancelled))) is not None:
                self.end(pending, outcome)
            replica.release()
            self.dispatch(project.id)
            return
        try:
            attempt = await _make_without_net(self._attempts, project, pending, replica)
        except asyncio.CancelledError:
            attempt = AttemptResult(pending.cancelled, counted=False)
        pending.task = None
        if attempt.outcome is None and attempt.pause and not self.is_closing:
            await asyncio.sleep(attempt.pause)
        if (outcome := self._settle(queue, pending, attempt)) is not None:
            self.end(pending, outcome, time.monotonic() - begun)
        if attempt.busy is not None and not self.is_closing:
            await self._attempts.wait_until_free(replica, attempt)
        replica.release()
        self.dispatch(project.id)

    return mock.patch.object(CallRunner, "_run", run)


async def _make_without_net(attempts: Any, project: Any, pending: Any, replica: Any) -> AttemptResult:
    attempt = await attempts.run(project, pending, replica)
    if attempt.outcome is not None and (attempt.outcome.error or "").startswith("the platform failed"):
        raise RuntimeError(attempt.outcome.error)
    return attempt


def _busy_answer() -> AbstractContextManager[Any]:
    """An app's own 503 is mistaken for a request that no handler has run."""
    send = AttemptRunner._send  # pyright: ignore[reportPrivateUsage]

    async def repeat(self: Any, project: Any, pending: Any, replica: Any, request: Any) -> AttemptResult:
        attempt = await send(self, project, pending, replica, request)
        if attempt.outcome is not None and attempt.outcome.status == 503:
            return AttemptResult(None, counted=False, pause=BUSY_SECONDS)
        return attempt

    return mock.patch.object(AttemptRunner, "_send", repeat)


def _shared_death() -> AbstractContextManager[Any]:
    """A replica's death counts for all calls in it, and they are tried again together."""
    lost = AttemptRunner._lost  # pyright: ignore[reportPrivateUsage]

    async def count(self: Any, pending: Any, replica: Any, problem: str) -> AttemptResult:
        pending.shared = False
        return replace(await lost(self, pending, replica, problem), alone=False)

    return mock.patch.object(AttemptRunner, "_lost", count)


def _blamed_version() -> AbstractContextManager[Any]:
    """The loss of a node counts as a failure of the version whose replica ran on it."""
    record = Pool._record_failure  # pyright: ignore[reportPrivateUsage]

    def blame(self: Any, replica: Any, known: Any) -> None:
        replica.is_lost = False
        record(self, replica, known)

    return mock.patch.object(Pool, "_record_failure", blame)


def _unnoticed_loss() -> AbstractContextManager[Any]:
    """A replica takes calls until its connection breaks, though its node is known to be gone."""
    return mock.patch.object(Replica, "node_lost", None)


FAULTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "jammed-replica": _jammed_replica,
    "busy-answer": _busy_answer,
    "shared-death": _shared_death,
    "blamed-version": _blamed_version,
    "unnoticed-loss": _unnoticed_loss,
}
