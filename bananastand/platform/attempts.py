"""One attempt of a call in one replica: asks, and reads what came of it. Knows no queue."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from . import outcomes
from .calls import Calls, Outcome
from .errors import StoreError
from .pool import Pool
from .projects import Project
from .replica import Replica
from .replica_http import Late, Lost, NotTaken, ReplicaHttp, TooLong
from .settings import Settings
from .ticket import Ticket

__all__ = ["Attempt", "Attempts"]

BUSY = 0.2  # seconds before a call that a replica was too busy for is offered again
LATE = 5.0  # seconds in which a replica that was too late must be free again
LOOK, LOOK_MOST = 0.05, 2.0  # seconds between two looks at a background task


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of it: the call's end, or None where it is to be tried again, after a pause, counted or not.

    `busy` says that the replica goes on after the answer, and for how many seconds it may: with a task in the
    `background`, or with what was too late.
    """

    outcome: Outcome | None
    counted: bool = True
    pause: float = 0.0
    busy: float | None = None
    background: bool = False


class Attempts:
    """Makes them."""

    def __init__(self, settings: Settings, calls: Calls, pool: Pool, http: ReplicaHttp) -> None:
        self._settings, self._calls, self._pool, self._http = settings, calls, pool, http

    async def make(self, project: Project, ticket: Ticket, replica: Replica) -> Attempt:
        """Have the replica answer. When the task is cancelled the connection is closed, which calls the handler off."""
        try:
            return await self._ask(project, ticket, replica)
        except NotTaken:
            replica.fail("it takes no connections")
            return Attempt(None, counted=False)
        except Lost:
            return await self._lost(ticket, replica)
        except Late:
            return Attempt(outcomes.timed_out(project.inference_timeout), busy=LATE)
        except TooLong:
            return Attempt(outcomes.TOO_LONG)
        except StoreError as error:
            return Attempt(outcomes.not_readable(error))

    async def until_free(self, replica: Replica, limit: float, *, background: bool) -> None:
        """Wait until the replica is done with one of its calls; one that is not by then is ended."""
        until, pause = time.monotonic() + limit, LOOK
        replica.background += background
        try:
            while replica.state in ("ready", "draining") and not await self._done(replica, background):
                if time.monotonic() > until:
                    replica.fail(f"its handler went on for {limit:g} s after the answer")
                    return
                await asyncio.sleep(pause)
                pause = min(LOOK_MOST, pause * 1.5)
        finally:
            replica.background -= background

    async def _ask(self, project: Project, ticket: Ticket, replica: Replica) -> Attempt:
        body = ticket.body if ticket.body is not None else await self._calls.body(ticket.made)
        answer = await self._http.post(
            replica.port, ticket.made.route, body, {"x-banana-request-id": ticket.made.run_id},
            project.inference_timeout, on_head=ticket.open, on_chunk=ticket.take,
        )  # fmt: skip
        if outcomes.not_taken(answer):
            ticket.shut()
            return Attempt(None, counted=False, pause=BUSY)
        self._pool.answered(replica)
        outcome = outcomes.answered(answer)
        if outcomes.started(outcome):
            return Attempt(outcome, busy=self._settings.background_timeout, background=True)
        return Attempt(outcome)

    async def _lost(self, ticket: Ticket, replica: Replica) -> Attempt:
        """The connection broke: wait until the replica's end is known, if it has ended."""
        if replica.state in ("ready", "draining"):
            await asyncio.wait({replica.over}, timeout=1.0)
        reason = replica.failure or "the connection to the replica broke"
        if ticket.streamed:
            return Attempt(outcomes.broke_off(reason))
        ticket.shut()
        if ticket.made.attempts >= self._settings.attempts:
            return Attempt(outcomes.worn_out(ticket.made.attempts, reason))
        return Attempt(None)

    async def _done(self, replica: Replica, background: bool) -> bool:
        """Whether a handler is free, as Potassium tells it; an app that does not tell is.

        Where several run at once our host says how many there are: where they are less than ours, one is over.
        """
        answer = await self._http.get(replica.port, "/_k/status" if replica.slots == 1 else "/readyz")
        told = answer.json() if answer is not None and answer.status == 200 else None
        if not isinstance(told, dict):
            return True
        there = told.get("background" if background else "in_progress")
        if replica.slots > 1 and isinstance(there, int):
            return there < (replica.background if background else replica.inflight)
        return told.get("gpu_available") is not False
