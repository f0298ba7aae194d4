"""One attempt of a call in one replica: asks, and reads what came of it. Knows no queue."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from . import outcomes
from .calls import Calls, Outcome
from .errors import StoreError
from .pool import Pool
from .projects import Project
from .replica import Replica
from .replicas.client import (
    AnswerTooLarge,
    AnswerTooLate,
    ConnectionLost,
    ReplicaAnswer,
    ReplicaBusy,
    ReplicaRequest,
    RequestNotDelivered,
)
from .replicas.http_client import HttpClient
from .settings import Settings
from .ticket import Session, Ticket

__all__ = ["Attempt", "Attempts"]

REQUEST_ID = "x-banana-request-id"
BUSY = 0.2  # seconds before a call that a replica was too busy for is offered again
LATE = 5.0  # seconds in which a replica that was too late must be free again


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of it: the call's end, or None where it is to be tried again, after a pause, counted or not.

    `busy` says that the replica goes on after the answer, and for how many seconds it may: with a task in the
    `background`, or with what was too late. `request` is what it was asked.
    """

    outcome: Outcome | None
    counted: bool = True
    pause: float = 0.0
    busy: float | None = None
    background: bool = False
    request: ReplicaRequest | None = None


class Attempts:
    """Makes them."""

    def __init__(self, settings: Settings, calls: Calls, pool: Pool) -> None:
        self._settings, self._calls, self._pool = settings, calls, pool

    async def make(self, project: Project, ticket: Ticket, replica: Replica) -> Attempt:
        """Have the replica answer. When the task is cancelled the handler is asked to stop."""
        if ticket.session is not None:
            return await self._hold(ticket.session, project, ticket, replica)
        try:
            body = ticket.body if ticket.body is not None else await self._calls.body(ticket.made)
        except StoreError as error:
            return Attempt(outcomes.not_readable(error))
        call = ticket.made
        headers = call.headers
        if not any(name == REQUEST_ID for name, _ in headers):
            headers = (*headers, (REQUEST_ID, call.run_id))
        request = ReplicaRequest(call.method, call.route, headers, body)
        try:
            return await self._ask(project, ticket, replica, request)
        except RequestNotDelivered:
            replica.fail("it takes no connections")
            return Attempt(None, counted=False)
        except ReplicaBusy:
            ticket.shut()
            return Attempt(None, counted=False, pause=BUSY)
        except ConnectionLost as error:
            return await self._lost(ticket, replica, str(error))
        except AnswerTooLate:
            return Attempt(outcomes.timed_out(project.inference_timeout), busy=LATE, request=request)
        except AnswerTooLarge:
            return Attempt(outcomes.TOO_LONG, busy=LATE, request=request)

    async def until_free(self, replica: Replica, attempt: Attempt) -> None:
        """Wait until the replica is done with a call that was answered or given up; end it if it is not in time."""
        request, limit = attempt.request, attempt.busy
        if request is None or limit is None or replica.state not in ("ready", "draining"):
            return
        replica.background += attempt.background
        done = asyncio.create_task(self._until_done(replica, request, limit))
        try:
            await asyncio.wait({done, replica.over}, return_when=asyncio.FIRST_COMPLETED)
            if not replica.over.done() and not done.result():
                what = "after its answer" if attempt.background else "after its time was up"
                replica.fail(f"its handler went on for {limit:g} s {what}")
        finally:
            done.cancel()
            replica.background -= attempt.background

    async def _hold(self, session: Session, project: Project, ticket: Ticket, replica: Replica) -> Attempt:
        """Leave the replica to a session until its end."""
        try:
            outcome = await session(project, ticket, replica)
        except RequestNotDelivered:
            replica.fail("it takes no connections")
            return Attempt(None, counted=False)
        if outcome.from_app:
            self._pool.answered(replica)
        return Attempt(outcome)

    async def _until_done(self, replica: Replica, request: ReplicaRequest, limit: float) -> bool:
        if (worker := replica.worker) is not None:
            return await worker.until_done(request, limit)
        client = replica.client
        return await client.until_done(limit) if isinstance(client, HttpClient) else True

    async def _ask(self, project: Project, ticket: Ticket, replica: Replica, request: ReplicaRequest) -> Attempt:
        try:
            answer = await replica.client.send(
                request, project.inference_timeout, on_head=ticket.open, on_chunk=ticket.take
            )
        finally:
            ticket.complete()
        self._pool.answered(replica)
        outcome = outcomes.answered(answer)
        if self._goes_on(replica, request, answer):
            limit = self._settings.background_timeout
            return Attempt(outcome, busy=limit, background=True, request=request)
        return Attempt(outcome)

    @staticmethod
    def _goes_on(replica: Replica, request: ReplicaRequest, answer: ReplicaAnswer) -> bool:
        """Whether a background handler runs behind this answer."""
        if (worker := replica.worker) is not None:
            return worker.is_background(request) and worker.runs_on(request)
        return outcomes.started(answer)

    async def _lost(self, ticket: Ticket, replica: Replica, what: str) -> Attempt:
        """The connection broke: wait until the replica's end is known, if it has ended.

        An answer that a replica broke off and outlived is the app's own failure: the call is not tried again.
        """
        if replica.state in ("ready", "draining"):
            await asyncio.wait({replica.over}, timeout=1.0)
        reason = replica.failure or "the connection to the replica broke"
        if ticket.answering and not replica.over.done():
            return Attempt(outcomes.broke_off(what or reason))
        if ticket.streamed:
            return Attempt(outcomes.broke_off(reason))
        ticket.shut()
        if ticket.made.attempts >= self._settings.attempts:
            return Attempt(outcomes.worn_out(ticket.made.attempts, reason))
        return Attempt(None)
