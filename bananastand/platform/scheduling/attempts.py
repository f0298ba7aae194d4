"""Makes one attempt of a call in one replica, and interprets how it went.

An attempt counts if a handler may have begun and the replica died, or the connection to it broke, with no other call
beside it. A call whose replica died with others beside it is tried again alone, and that attempt does not count. Nor
does one whose node was lost: a node has more reasons to go than one call. Only a call under which one node after the
other is lost is tried alone, and counts, from then on.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from ..errors import NodeLost, StoreError, StoreUnavailable
from ..replicas.client import (
    ConnectionLost,
    NoRoomForResponse,
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
from ..replicas.node_loss import until_node_lost
from ..replicas.pool import Pool
from ..replicas.replica import Replica
from ..settings import Settings
from ..store.bodies import FileBody
from ..store.calls import CallOutcome, Calls
from ..store.projects import Project
from . import outcomes
from .pending_call import PendingCall, Session

__all__ = ["BUSY_SECONDS", "AttemptResult", "AttemptRunner"]

log = logging.getLogger("bananastand.platform")

REQUEST_ID = "x-banana-request-id"
BUSY_SECONDS = 0.2  # before a call that a replica was too busy for is offered again
LATE_SECONDS = 5.0  # in which a replica whose response was late must be free again
DEATH_SECONDS = 1.0  # after a connection broke, in which the replica's end becomes known
NODE_DEATH_SECONDS = 4.0  # the same on another node, whose loss becomes known later
NODE_LOSSES = 5  # of one call that do not count as attempts
LAST_LINES_SECONDS = 5.0  # for its last log lines after that


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How an attempt went.

    Attributes:
        outcome: The call's end; None if it is to be tried again.
        counted: Whether it counts against the limit of attempts.
        alone: Whether the call is to be tried alone from now on.
        pause: Seconds before it is tried again.
        busy: Seconds for which the replica may work on after the response, on a background task or on a request that
            was late; None if it is free at once.
        background: Whether a background task runs.
        request: The request that the replica got.
    """

    outcome: CallOutcome | None
    counted: bool = True
    alone: bool = False
    pause: float = 0.0
    busy: float | None = None
    background: bool = False
    request: ReplicaRequest | None = None


class AttemptRunner:
    """Sends calls to replicas."""

    def __init__(self, settings: Settings, calls: Calls, pool: Pool) -> None:
        self._settings, self._calls, self._pool = settings, calls, pool

    async def run(self, project: Project, pending: PendingCall, replica: Replica) -> AttemptResult:
        """Make an attempt. When the task is cancelled the handler is cancelled too.

        An unexpected error is logged and ends the call with status 500.
        """
        request = None
        try:
            if pending.session is not None:
                return await self._hold(pending.session, project, pending, replica)
            body = pending.body if pending.body is not None else await self._calls.body(pending.call)
            request = _replica_request(pending, body)
            with until_node_lost(replica.node_lost):
                return await self._send(project, pending, replica, request)
        except NodeLost as error:
            return self._lost_with_node(pending, str(error))
        except asyncio.CancelledError:
            cut_off = outcomes.CUT_OFF if pending.session is not None else None
            late = project.inference_timeout if pending.cancelled is not None else None
            return AttemptResult(pending.cancelled or cut_off, counted=False, busy=late, request=request)
        except StoreUnavailable:
            return AttemptResult(None, counted=False, pause=BUSY_SECONDS)
        except StoreError as error:
            return AttemptResult(outcomes.not_readable(error))
        except RequestNotDelivered as error:
            replica.retire(f"it takes no connections: {error}", self._settings.drain_timeout)
            return AttemptResult(None, counted=False, pause=BUSY_SECONDS)
        except RequestNotSendable as error:
            return AttemptResult(outcomes.not_sendable(str(error)))
        except ReplicaBusy:
            pending.discard_response()
            return AttemptResult(None, counted=False, pause=BUSY_SECONDS)
        except ConnectionLost as error:
            return await self._lost(pending, replica, str(error))
        except ResponseMalformed as error:
            return AttemptResult(outcomes.malformed(str(error)))
        except ResponseTimeout:
            return AttemptResult(outcomes.timed_out(project.inference_timeout), busy=LATE_SECONDS, request=request)
        except NoRoomForResponse:
            return AttemptResult(outcomes.NO_ROOM, busy=LATE_SECONDS, request=request)
        except ResponseTooLarge:
            return AttemptResult(outcomes.TOO_LONG, busy=LATE_SECONDS, request=request)
        except Exception as error:
            log.exception("call %s failed inside the platform", pending.call.id)
            return AttemptResult(outcomes.platform_failed(error), busy=LATE_SECONDS, request=request)

    async def wait_until_free(self, replica: Replica, attempt: AttemptResult) -> None:
        """Wait until the replica is done with a call that was answered or given up.

        A replica that is not in time gets no further calls. It is killed when its other calls are over, or their
        time is up.
        """
        request, limit = attempt.request, attempt.busy
        if request is None or limit is None or replica.state not in ("ready", "draining"):
            return
        replica.background += attempt.background
        done = asyncio.create_task(self._until_done(replica, request, limit))
        try:
            await asyncio.wait({done, replica.ended}, return_when=asyncio.FIRST_COMPLETED)
            if not replica.ended.done() and not done.result():
                since = "after its answer" if attempt.background else "after its time was up"
                reason = f"its handler went on for {limit:g} s {since}"
                replica.retire(reason, self._settings.drain_timeout, stuck=1)
                await asyncio.wait({replica.ended})
        finally:
            done.cancel()
            replica.background -= attempt.background

    async def _hold(self, session: Session, project: Project, pending: PendingCall, replica: Replica) -> AttemptResult:
        """Leave the replica to a session until the session ends."""
        outcome = await session(project, pending, replica)
        if outcome.from_app:
            self._pool.record_success(replica)
        return AttemptResult(outcome)

    async def _until_done(self, replica: Replica, request: ReplicaRequest, limit: float) -> bool:
        if (worker := replica.worker) is not None:
            return await worker.until_done(request, limit)
        client = replica.client
        return await client.until_done(limit) if isinstance(client, HttpClient) else True

    async def _send(
        self, project: Project, pending: PendingCall, replica: Replica, request: ReplicaRequest
    ) -> AttemptResult:
        try:
            answer = await replica.client.send(
                request, project.inference_timeout, on_head=pending.begin_response, on_chunk=pending.add_chunk
            )
        finally:
            pending.end_response()
        self._pool.record_success(replica)
        outcome = outcomes.from_answer(answer)
        if self._runs_on(replica, request, answer):
            limit = self._settings.background_timeout
            return AttemptResult(outcome, busy=limit, background=True, request=request)
        return AttemptResult(outcome)

    @staticmethod
    def _runs_on(replica: Replica, request: ReplicaRequest, answer: ReplicaResponse) -> bool:
        """Return whether a background handler runs on after this answer."""
        if (worker := replica.worker) is not None:
            return worker.is_background(request) and worker.runs_on(request)
        return outcomes.is_background_start(answer)

    async def _lost(self, pending: PendingCall, replica: Replica, problem: str) -> AttemptResult:
        """Interpret a broken connection, once it is known whether the replica has ended.

        A response that a replica broke off and outlived is the app's own failure: the call is not tried again.
        """
        is_here = replica.node_lost is None
        await asyncio.wait({replica.ended}, timeout=DEATH_SECONDS if is_here else NODE_DEATH_SECONDS)
        died = replica.is_dying
        if died:
            await asyncio.wait({replica.ended}, timeout=LAST_LINES_SECONDS)
        reason = replica.failure or "the connection to the replica broke"
        if replica.is_lost:
            return self._lost_with_node(pending, reason)
        if pending.has_response and not died:
            return AttemptResult(outcomes.interrupted(problem or reason))
        if pending.streamed:
            return AttemptResult(outcomes.interrupted(reason))
        pending.discard_response()
        if died and pending.shared:
            return AttemptResult(None, counted=False, alone=True)
        return self._again(pending, reason, alone=died)

    def _lost_with_node(self, pending: PendingCall, reason: str) -> AttemptResult:
        """Try a call again whose node is gone: it is to blame only if that happens again and again."""
        if pending.streamed:
            return AttemptResult(outcomes.interrupted(reason))
        pending.discard_response()
        pending.node_losses += 1
        if pending.node_losses <= NODE_LOSSES:
            return AttemptResult(None, counted=False)
        return self._again(pending, reason, alone=True)

    def _again(self, pending: PendingCall, reason: str, *, alone: bool) -> AttemptResult:
        """Count an attempt, and end the call with the last one."""
        if pending.call.attempts >= self._settings.attempts:
            return AttemptResult(outcomes.retries_exhausted(pending.call.attempts, reason))
        return AttemptResult(None, alone=alone)


def _replica_request(pending: PendingCall, body: bytes | FileBody) -> ReplicaRequest:
    call, headers = pending.call, pending.call.headers
    if not any(name == REQUEST_ID for name, _ in headers):
        headers = (*headers, (REQUEST_ID, call.run_id))
    return ReplicaRequest(call.method, call.route, headers, body)
