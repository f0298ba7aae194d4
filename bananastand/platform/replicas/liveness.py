"""Whether a replica that was ready still lives: asked while it is idle, watched while it is busy.

A busy replica need not answer. An app of one thread cannot while its handler runs, nor can a worker whose handler holds
the interpreter; the time limit of its calls ends that. An idle one that does not answer gets no calls, and hangs when
it has not answered for some time. A replica whose processes are stopped (SIGSTOP) hangs, busy or not.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Liveness", "MonitoredReplica", "wait_until_hung"]

QUESTION = 2.0  # seconds for the answer to one question
AGAIN = 0.5  # seconds between two questions to one that has not answered
STOPPED = 1.0  # seconds after which a process that was seen stopped is looked at again
END_OF_CONNECTION = 1.0  # seconds in which a process ends whose connection has ended


@dataclass(frozen=True, slots=True)
class Liveness:
    """Seconds between two questions, and seconds without an answer after which an idle replica hangs."""

    interval: float = 10.0
    timeout: float = 20.0


class MonitoredReplica(Protocol):
    """The replica that is watched. `lost` is done when the connection to its worker has ended."""

    inflight: int

    @property
    def connection_lost(self) -> asyncio.Future[None] | None:
        """Done when its worker's connection has ended; None for one without a worker."""
        ...

    @property
    def is_stopped(self) -> bool:
        """Whether one of its processes is stopped by a signal."""
        ...

    async def is_alive(self, timeout: float) -> bool:
        """Whether it answers a health question in time."""
        ...

    def set_suspect(self, is_suspect: bool) -> None:
        """It gets no calls until it answers again."""
        ...


async def wait_until_hung(replica: MonitoredReplica, liveness: Liveness) -> str:
    """Watch a replica until it hangs; why it is taken to hang."""
    silent_since: float | None = None
    while True:
        if await _is_lost(replica.connection_lost, liveness.interval if silent_since is None else AGAIN):
            return "its connection to the platform ended"
        if replica.is_stopped:
            replica.set_suspect(True)
            await asyncio.sleep(STOPPED)
            if replica.is_stopped:
                return "it is stopped by a signal"
        if replica.inflight:
            silent_since = None
            replica.set_suspect(False)
            continue
        asked = time.monotonic()
        if await replica.is_alive(min(QUESTION, liveness.timeout / 3)):
            silent_since = None
            replica.set_suspect(False)
        elif not replica.inflight:  # else it is busy with what came meanwhile
            silent_since = asked if silent_since is None else silent_since
            replica.set_suspect(True)
            if time.monotonic() - silent_since >= liveness.timeout:
                return f"it has not answered its health question for {liveness.timeout:g} s"


async def _is_lost(lost: asyncio.Future[None] | None, seconds: float) -> bool:
    if lost is None:
        await asyncio.sleep(seconds)
        return False
    await asyncio.wait({lost}, timeout=seconds)
    if lost.done():
        await asyncio.sleep(END_OF_CONNECTION)
    return lost.done()
