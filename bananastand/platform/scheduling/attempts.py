"""One attempt of a call in one replica: asks, and reads what came of it. Knows no queue.

What counts as an attempt: a handler may have begun, and the replica died, or the connection to it broke, with no other
call beside it. What died with others beside it is tried again alone, without counting.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from ..errors import StoreError
from ..replicas.client import (
    ConnectionLost,
    ReplicaBusy,
    ReplicaRequest,
    ReplicaResponse,
    RequestNotDelivered,
    RequestNotSendable,
    ResponseMalformed,
    ResponseTimeout,
    ResponseTooLarge,
)
from ..replicas.http_client import HttpClient
from ..replicas.pool import Pool
from ..replicas.replica import Replica
from ..settings import Settings
from ..store.bodies import FileBody
from ..store.calls import Calls, Outcome
from ..store.projects import Project
from . import outcomes
from .pending_call import PendingCall, Session

__all__ = ["Attempt", "Attempts"]

log = logging.getLogger("bananastand.platform")

REQUEST_ID = "x-banana-request-id"
BUSY = 0.2  # seconds before a call that a replica was too busy for is offered again
LATE = 5.0  # seconds in which a replica that was too late must be free again
DEATH = 1.0  # seconds after a connection broke in which a replica's end becomes known
LAST_WORDS = 5.0  # seconds for its last lines after that


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of it: the call's end, or None where it is to be tried again.

    Attributes:
        outcome: The call's end.
        counted: Whether it counts against the limit of attempts.
        alone: Whether the call is to be tried alone from now on.
        pause: Seconds before it is tried again.
        busy: Seconds for which the replica may go on after the answer, with a task in the background or with what was
            too late; None where it is free at once.
        background: Whether a task in the background runs.
        request: What the replica was asked.
    """

    outcome: Outcome | None
    counted: bool = True
    alone: bool = False
    pause: float = 0.0
    busy: float | None = None
    background: bool = False
    request: ReplicaRequest | None = None


class Attempts:
    """Makes them."""

    def __init__(self, settings: Settings, calls: Calls, pool: Pool) -> None:
        self._settings, self._calls, self._pool = settings, calls, pool

    async def make(self, project: Project, pending: PendingCall, replica: Replica) -> Attempt:
        """Have the replica answer. When the task is cancelled the handler is asked to stop.

        What nobody has foreseen ends the call with status 500, and is logged.
        """
        request = None
        try:
            if pending.session is not None:
                return await self._hold(pending.session, project, pending, replica)
            body = pending.body if pending.body is not None else await self._calls.body(pending.made)
            request = _request(pending, body)
            return await self._ask(project, pending, replica, request)
        except asyncio.CancelledError:
            cut_off = outcomes.CUT_OFF if pending.session is not None else None
            late = project.inference_timeout if pending.cancelled is not None else None
            return Attempt(pending.cancelled or cut_off, counted=False, busy=late, request=request)
        except StoreError as error:
            return Attempt(outcomes.not_readable(error))
        except RequestNotDelivered as error:
            replica.retire(f"it takes no connections: {error}", self._settings.drain_timeout)
            return Attempt(None, counted=False, pause=BUSY)
        except RequestNotSendable as error:
            return Attempt(outcomes.not_sendable(str(error)))
        except ReplicaBusy:
            pending.shut()
            return Attempt(None, counted=False, pause=BUSY)
        except ConnectionLost as error:
            return await self._lost(pending, replica, str(error))
        except ResponseMalformed as error:
            return Attempt(outcomes.malformed(str(error)))
        except ResponseTimeout:
            return Attempt(outcomes.timed_out(project.inference_timeout), busy=LATE, request=request)
        except ResponseTooLarge:
            return Attempt(outcomes.TOO_LONG, busy=LATE, request=request)
        except Exception as error:
            log.exception("call %s failed inside the platform", pending.made.id)
            return Attempt(outcomes.platform_failed(error), busy=LATE, request=request)

    async def until_free(self, replica: Replica, attempt: Attempt) -> None:
        """Wait until the replica is done with a call that was answered or given up.

        One that is not in time takes no new calls. It is killed when its other calls are over, or their time is up.
        """
        request, limit = attempt.request, attempt.busy
        if request is None or limit is None or replica.state not in ("ready", "draining"):
            return
        replica.background += attempt.background
        done = asyncio.create_task(self._until_done(replica, request, limit))
        try:
            await asyncio.wait({done, replica.ended}, return_when=asyncio.FIRST_COMPLETED)
            if not replica.ended.done() and not done.result():
                what = "after its answer" if attempt.background else "after its time was up"
                reason = f"its handler went on for {limit:g} s {what}"
                replica.retire(reason, self._settings.drain_timeout, stuck=1)
                await asyncio.wait({replica.ended})
        finally:
            done.cancel()
            replica.background -= attempt.background

    async def _hold(self, session: Session, project: Project, pending: PendingCall, replica: Replica) -> Attempt:
        """Leave the replica to a session until its end."""
        outcome = await session(project, pending, replica)
        if outcome.from_app:
            self._pool.record_success(replica)
        return Attempt(outcome)

    async def _until_done(self, replica: Replica, request: ReplicaRequest, limit: float) -> bool:
        if (worker := replica.worker) is not None:
            return await worker.until_done(request, limit)
        client = replica.client
        return await client.until_done(limit) if isinstance(client, HttpClient) else True

    async def _ask(self, project: Project, pending: PendingCall, replica: Replica, request: ReplicaRequest) -> Attempt:
        try:
            answer = await replica.client.send(
                request, project.inference_timeout, on_head=pending.open, on_chunk=pending.take
            )
        finally:
            pending.complete()
        self._pool.record_success(replica)
        outcome = outcomes.answered(answer)
        if self._goes_on(replica, request, answer):
            limit = self._settings.background_timeout
            return Attempt(outcome, busy=limit, background=True, request=request)
        return Attempt(outcome)

    @staticmethod
    def _goes_on(replica: Replica, request: ReplicaRequest, answer: ReplicaResponse) -> bool:
        """Whether a background handler runs behind this answer."""
        if (worker := replica.worker) is not None:
            return worker.is_background(request) and worker.runs_on(request)
        return outcomes.started(answer)

    async def _lost(self, pending: PendingCall, replica: Replica, what: str) -> Attempt:
        """The connection broke: wait until the replica's end is known, if it has ended.

        An answer that a replica broke off and outlived is the app's own failure: the call is not tried again.
        """
        await asyncio.wait({replica.ended}, timeout=DEATH)
        died = replica.is_dying
        if died:
            await asyncio.wait({replica.ended}, timeout=LAST_WORDS)
        reason = replica.failure or "the connection to the replica broke"
        if pending.answering and not died:
            return Attempt(outcomes.broke_off(what or reason))
        if pending.streamed:
            return Attempt(outcomes.broke_off(reason))
        pending.shut()
        if died and pending.shared:
            return Attempt(None, counted=False, alone=True)
        if pending.made.attempts >= self._settings.attempts:
            return Attempt(outcomes.worn_out(pending.made.attempts, reason))
        return Attempt(None, alone=died)


def _request(pending: PendingCall, body: bytes | FileBody) -> ReplicaRequest:
    call, headers = pending.made, pending.made.headers
    if not any(name == REQUEST_ID for name, _ in headers):
        headers = (*headers, (REQUEST_ID, call.run_id))
    return ReplicaRequest(call.method, call.route, headers, body)
