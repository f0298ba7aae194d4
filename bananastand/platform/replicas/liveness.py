"""Checks whether a replica that was ready is still alive.

Only an idle replica is asked. A busy one may be unable to answer: an app with one thread while its handler runs, or a
worker whose handler holds the interpreter; the time limit of its calls ends that. An idle replica that does not answer
gets no calls, and hangs when it has not answered for some time. A replica whose processes are stopped (SIGSTOP) hangs,
busy or not.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Liveness", "MonitoredReplica", "wait_until_hung"]

CHECK_TIMEOUT = 2.0  # seconds for the answer to one check
RETRY_INTERVAL = 0.5  # seconds between two checks of a replica that has not answered
STOPPED_RECHECK = 1.0  # seconds between two looks at a process that is stopped
END_OF_CONNECTION = 1.0  # seconds in which a process ends whose connection has ended


@dataclass(frozen=True, slots=True)
class Liveness:
    """The schedule of the health checks.

    Attributes:
        interval: Seconds between two checks.
        timeout: Seconds without an answer after which an idle replica hangs.
    """

    interval: float = 10.0
    timeout: float = 20.0


class MonitoredReplica(Protocol):
    """The replica that is watched."""

    inflight: int

    @property
    def connection_lost(self) -> asyncio.Future[None] | None:
        """Done when its worker's connection has ended; None for a replica without a worker."""
        ...

    @property
    def is_stopped(self) -> bool:
        """Whether one of its processes is stopped by a signal."""
        ...

    async def is_alive(self, timeout: float) -> bool:
        """Whether it answers a health check in `timeout` seconds."""
        ...

    def set_suspect(self, is_suspect: bool) -> None:
        """Record that a health check failed, or succeeded again."""
        ...


async def wait_until_hung(replica: MonitoredReplica, liveness: Liveness) -> str:
    """Check a replica until it hangs; returns the reason, in words."""
    silent_since: float | None = None
    while True:
        if await _is_lost(replica.connection_lost, liveness.interval if silent_since is None else RETRY_INTERVAL):
            return "its connection to the platform ended"
        if replica.is_stopped:
            replica.set_suspect(True)
            await asyncio.sleep(STOPPED_RECHECK)
            if replica.is_stopped:
                return "it is stopped by a signal"
        if replica.inflight:
            silent_since = None
            replica.set_suspect(False)
            continue
        asked_at = time.monotonic()
        if await replica.is_alive(min(CHECK_TIMEOUT, liveness.timeout / 3)):
            silent_since = None
            replica.set_suspect(False)
        elif not replica.inflight:  # else it is busy with what came meanwhile
            silent_since = asked_at if silent_since is None else silent_since
            replica.set_suspect(True)
            if time.monotonic() - silent_since >= liveness.timeout:
                return f"it has not answered its health check for {liveness.timeout:g} s"


async def _is_lost(lost: asyncio.Future[None] | None, seconds: float) -> bool:
    if lost is None:
        await asyncio.sleep(seconds)
        return False
    await asyncio.wait({lost}, timeout=seconds)
    if lost.done():
        await asyncio.sleep(END_OF_CONNECTION)
    return lost.done()
