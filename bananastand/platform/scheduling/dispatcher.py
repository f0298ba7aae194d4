"""Brings calls to replicas: the queue of each project, leases, attempts, and who waits for what. Starts no replica.

Everything happens on one event loop. A call's row is written before anything else; a waiting caller waits for a future,
so nothing looks into the database again and again. `changed` is called when a call has come or left its replica.
Whatever an attempt raises, its call ends or goes back to the queue, and its place in the replica is free again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..errors import Conflict, NotFound, StoreError, TooBusy
from ..replicas.client import Headers, ReplicaRequest
from ..replicas.pool import Pool
from ..replicas.replica import Replica
from ..settings import Settings
from ..store.blobs import SMALL
from ..store.bodies import AGAIN as RETRY_AFTER
from ..store.bodies import FileBody, TooLarge
from ..store.calls import JSON_BODY, WEBSOCKET, Call, Calls, Outcome, fingerprint, of_request
from ..store.projects import Project, Projects
from . import outcomes
from .assignment import next_assignment
from .attempts import Attempt, Attempts
from .pending_call import PendingCall, Session
from .recorder import AGAIN, Recorder
from .request_check import check_request

__all__ = ["Dispatcher", "ProjectQueue"]

log = logging.getLogger("bananastand.platform")

HELD = 256  # calls of a queue whose bodies stay in memory, where they are small
CLOSING = 5.0  # seconds for the last ends to be written when the stand stops


class ProjectQueue:
    """The queue of one project, and what is at work. `alone` has the ids of the calls that are tried alone."""

    def __init__(self) -> None:
        self.waiting: deque[PendingCall] = deque()
        self.at_work: dict[str, PendingCall] = {}
        self.alone: set[str] = set()
        self.last_served = 0.0
        self.size = 0  # bytes of the bodies of all that wait or are at work

    @property
    def oldest(self) -> float | None:
        """Since when the next call has waited, on the monotonic clock."""
        return self.waiting[0].queued if self.waiting else None


class Dispatcher:
    """All calls that are not over. `ended` is told of each that ends, with the seconds it ran."""

    def __init__(self, settings: Settings, calls: Calls, projects: Projects, pool: Pool) -> None:
        self._settings, self._calls, self._projects, self._pool = settings, calls, projects, pool
        self._attempts, self._recorder = Attempts(settings, calls, pool), Recorder(calls, projects)
        self.ended = self._recorder.ended
        self.lines: dict[str, ProjectQueue] = {}
        self.changed: Callable[[], None] = lambda: None
        self._pending: dict[str, PendingCall] = {}  # by call id
        self._by_request: dict[tuple[str, str], PendingCall] = {}
        self._being_written: set[tuple[str, str]] = set()  # of these, what has no row yet
        self._tasks: set[asyncio.Task[None]] = set()
        self.closing = self._dismissing = False

    def line(self, project_id: str) -> ProjectQueue:
        """The queue of a project."""
        return self.lines.setdefault(project_id, ProjectQueue())

    def recover(self) -> int:
        """Take up what an earlier supervisor left; how many calls. To be called once, before anything else.

        What was running when it was killed is tried alone; it counts as an attempt where no other call was beside it.
        """
        left = self._calls.unfinished()
        together = Counter(call.lease for call in left if call.state == "running")
        for call in left:
            counted = call.state == "running" and together[call.lease] == 1
            if call.state == "running":
                call = self._calls.requeue(call, counted=counted, alone=True)
            pending = self._keep(PendingCall(call, None))
            if call.alone:
                self.line(call.project_id).alone.add(call.id)
            if call.method == WEBSOCKET:
                self._end(pending, outcomes.CUT_OFF)
            elif call.attempts >= self._settings.attempts:
                self._end(pending, outcomes.worn_out(call.attempts, "the stand was killed while it ran"))
            else:
                self.line(call.project_id).waiting.append(pending)
        return len(left)

    async def submit(
        self,
        project: Project,
        route: str,
        body: bytes | FileBody,
        *,
        method: str = "POST",
        headers: Headers = JSON_BODY,
        run_id: str | None = None,
        request_id: str | None = None,
        strict: bool = False,
        durable: bool = True,
        session: Session | None = None,
    ) -> PendingCall:
        """Acknowledge a call: its row is written.

        Args:
            project: Whose app is asked.
            route: Path with its query, percent-encoded.
            body: As it was sent.
            method: Of HTTP.
            headers: Those that the app may see.
            run_id: The caller's id for the run.
            request_id: A call of the same id, method, route and body is that call again.
            durable: Whether the call survives a power cut from now on; else from its end on, for a caller who waits.
            strict: Refuse another call of the same id; else it is a call of its own.
            session: Holds the replica in place of one request; see PendingCall.

        Raises:
            TooLarge: The body is too long.
            TooBusy: The project's queue is full.
            Conflict: With `strict`, the id belongs to another call.
            Refused: No HTTP request can carry what is sent.
            StoreError: No row can be written.
        """
        if len(body) > self._settings.max_body:
            raise TooLarge(f"the body is longer than {self._settings.max_body} bytes")
        asked = ReplicaRequest(method, route, headers, body)
        check_request(asked, run_id)
        request = fingerprint(request_id, asked) if request_id else None
        if request is not None:
            if pending := self._by_request.get((project.id, request)):
                await asyncio.shield(pending.written)  # another caller's too
                return pending
            if (call := self._calls.made_before(project, request)) is not None:
                return await self._over(call)
            if strict:
                self._check_unused(project, request_id or "", asked)
        self.check_room(project, len(body))
        pending = PendingCall(None, self._held(project, body), session, len(body))
        if request is not None:
            self._by_request[project.id, request] = pending
            self._being_written.add((project.id, request))
        cold = not any(each.state == "ready" for each in self._pool.of_project(project.id))
        row = self._calls.add(project, asked, run_id=run_id, request=request, cold=cold, durable=durable)
        adding = self._task(self._add(project, pending, row, request))
        try:
            await asyncio.shield(adding)
        except asyncio.CancelledError:  # the caller has left; its row may be there all the same
            if request is None:
                adding.add_done_callback(lambda _: self._task(self._abandon(pending)))
            raise
        return pending

    async def _add(
        self, project: Project, pending: PendingCall, row: Coroutine[Any, Any, Call], request: str | None
    ) -> None:
        """Write a call's row and queue it. Raises StoreError: then there is none."""
        try:
            pending.write(await row)
        except BaseException as error:
            if request is not None:
                self._by_request.pop((project.id, request), None)
            pending.refuse(error)
            raise
        finally:
            if request is not None:
                self._being_written.discard((project.id, request))
        self._pending[pending.made.id] = pending
        self.line(project.id).size += pending.size
        if self._dismissing:
            pending.release_waiters()
        self.line(project.id).waiting.append(pending)
        self.pump(project.id)

    async def _abandon(self, pending: PendingCall) -> None:
        """Cancel a call whose caller left before it was acknowledged."""
        if pending.call is not None:
            await self.cancel(pending.call.id)

    def check_room(self, project: Project, size: int = 0) -> None:
        """Raise TooBusy where the project's queue takes no call of that size."""
        line, settings = self.line(project.id), self._settings
        if len(line.waiting) >= settings.queue_length:
            reason = f"{len(line.waiting)} calls wait in the queue of {project.name}, its limit"
        elif line.size and line.size + size > settings.queue_bytes:
            reason = f"the bodies in the queue of {project.name} hold {line.size} bytes, close to its limit"
        else:
            return
        raise TooBusy(f"{reason}: try again in {RETRY_AFTER} s", RETRY_AFTER)

    def _check_unused(self, project: Project, request_id: str, asked: ReplicaRequest) -> None:
        """Raise Conflict where another call was made under this id."""
        start = of_request(request_id)
        being_written = any(id == project.id and each.startswith(start) for id, each in self._being_written)
        if being_written or self._calls.other_made_before(project, start):
            raise Conflict(
                f"the request id {request_id[:100]!r} belongs to another call: send the same method, path and body "
                "with it, or another id"
            )

    def _held(self, project: Project, body: bytes | FileBody) -> bytes | None:
        """A body that stays in memory until it is sent to a replica; the others are read again then."""
        short = len(self.line(project.id).waiting) < HELD
        return body if isinstance(body, bytes) and len(body) <= SMALL and short else None

    def repeats(self, project: Project, asked: ReplicaRequest, request_id: str | None) -> bool:
        """Whether such a call has been made before."""
        request = fingerprint(request_id, asked) if request_id else None
        if request is None:
            return False
        return (project.id, request) in self._by_request or self._calls.made_before(project, request) is not None

    async def find(self, name: str) -> PendingCall | None:
        """The call of that id, over or not; None if there is none."""
        if pending := self._pending.get(name):
            return pending
        call = self._calls.find(name)
        if call is None:
            return None
        return self._pending.get(call.id) or await self._over(call)

    async def cancel(self, name: str, why: Outcome = outcomes.CANCELLED) -> bool:
        """Call it off; False if there is none, or it is over."""
        pending = await self.find(name)
        if pending is None or pending.done.done() or pending.cancelled is not None:
            return False
        pending.cancelled = why
        if pending.made.id in self.line(pending.made.project_id).at_work:
            if pending.task is not None:
                pending.task.cancel()
            return True
        with suppress(ValueError):
            self.line(pending.made.project_id).waiting.remove(pending)
            self._end(pending, why)
        return True

    def expire(self) -> float | None:
        """End what has waited too long; the next moment at which something may have, on the monotonic clock."""
        limit, soonest = self._settings.queue_timeout, None
        for line in self.lines.values():
            while line.waiting and line.waiting[0].queued + limit <= time.monotonic():
                self._end(line.waiting.popleft(), outcomes.never_served(limit))
            if line.waiting:
                due = line.waiting[0].queued + limit
                soonest = due if soonest is None else min(soonest, due)
        return soonest

    def pump(self, project_id: str) -> None:
        """Hand waiting calls to replicas that are free; the rest, or the lack of any, is the autoscaler's matter."""
        self.hand_out(project_id)
        self.changed()

    def hand_out(self, project_id: str) -> None:
        """Hand waiting calls to replicas that are free."""
        project, line = self._projects.get(project_id), self.lines.get(project_id, ProjectQueue())
        while line.waiting and project is not None and not self.closing:
            assignment = next_assignment(line.waiting, self._pool.live_replicas(project))
            if assignment is None:
                return
            pending, replica = assignment
            line.waiting.remove(pending)
            self._hand_over(project, line, pending, replica)

    def give_up(self, project_id: str, outcome: Outcome) -> None:
        """End all that wait in a project's queue."""
        line = self.line(project_id)
        waiting, line.waiting = line.waiting, deque()
        for pending in waiting:
            self._end(pending, outcome)

    def forget(self, project_id: str) -> None:
        """A project is gone, its rows too: nobody waits any longer."""
        line = self.lines.pop(project_id, ProjectQueue())
        for pending in [*line.waiting, *line.at_work.values()]:
            pending.cancelled = outcomes.REMOVED
            if pending.task is not None:
                pending.task.cancel()
            self._drop(pending)
            pending.end(outcomes.REMOVED)

    def release_waiters(self) -> None:
        """The stand is about to stop: nobody waits any longer."""
        self._dismissing = True
        for pending in self._pending.values():
            pending.release_waiters()

    async def close(self) -> None:
        """Stop handing out; what is at work goes back to the queue, in its row. Ends that are known are recorded."""
        self.closing = True
        await asyncio.sleep(0)
        for line in self.lines.values():
            for pending in line.at_work.values():
                if pending.task is not None:
                    pending.task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING)
        for task in list(self._tasks):
            task.cancel()

    def _hand_over(self, project: Project, line: ProjectQueue, pending: PendingCall, replica: Replica) -> None:
        pending.replica, pending.shared = replica, replica.inflight > 0
        if pending.shared:
            for each in line.at_work.values():
                each.shared = each.shared or each.replica is replica
        replica.inflight += 1
        replica.is_exclusive = pending.alone
        line.at_work[pending.made.id] = pending
        line.last_served = time.monotonic()
        self._task(self._run(project, line, pending, replica))

    async def _run(self, project: Project, line: ProjectQueue, pending: PendingCall, replica: Replica) -> None:
        """One attempt from its lease to the moment at which the replica is free again."""
        try:
            begun = time.monotonic()
            attempt = await self._attempt(project, pending, replica)
            seconds = time.monotonic() - begun
            try:
                if attempt.outcome is None and attempt.pause and not self.closing:
                    await asyncio.sleep(attempt.pause)
            finally:
                self._settle(line, pending, attempt, seconds)
            if attempt.busy is not None and not self.closing:
                await self._attempts.until_free(replica, attempt)
        except Exception:
            log.exception("replica %s is ended: the platform failed to follow what it does", replica.id)
            replica.kill("the platform failed to follow what it does")
        finally:
            replica.release()
            self.pump(project.id)

    async def _attempt(self, project: Project, pending: PendingCall, replica: Replica) -> Attempt:
        """Lease the call and make the attempt. Raises nothing."""
        if pending.cancelled is not None:
            return Attempt(pending.cancelled)
        pending.task = asyncio.current_task()
        try:
            pending.call = await self._calls.lease(pending.made, replica.id, project.inference_timeout)
            return await self._attempts.make(project, pending, replica)
        except asyncio.CancelledError:
            return Attempt(pending.cancelled, counted=False)
        except StoreError:  # there is no lease, and so nothing that would have to be taken back
            return Attempt(None, counted=True, pause=AGAIN)
        except Exception as error:
            log.exception("call %s failed inside the platform", pending.made.id)
            return Attempt(outcomes.platform_failed(error))
        finally:
            pending.task = None

    def _settle(self, line: ProjectQueue, pending: PendingCall, attempt: Attempt, seconds: float) -> None:
        """The call has left its replica: end it, or put it back into the queue."""
        line.at_work.pop(pending.made.id, None)
        pending.replica = None
        if outcome := attempt.outcome or pending.cancelled:
            self._end(pending, outcome, seconds)
        else:
            self._give_back(line, pending, attempt)

    def _give_back(self, line: ProjectQueue, pending: PendingCall, attempt: Attempt) -> None:
        call = pending.made
        try:
            pending.call = self._calls.requeue(call, counted=attempt.counted, alone=attempt.alone)
        except Exception as error:  # the row says that it is leased by one that is gone: the same at the next start
            if not isinstance(error, StoreError):
                log.exception("call %s goes on without a row of it", call.id)
            attempts = call.attempts if attempt.counted else max(0, call.attempts - 1)
            pending.call = replace(call, attempts=attempts, alone=attempt.alone or call.alone)
        if pending.alone:
            line.alone.add(call.id)
        number = pending.made.number
        place = next((at for at, each in enumerate(line.waiting) if each.made.number > number), len(line.waiting))
        line.waiting.insert(place, pending)

    def _end(self, pending: PendingCall, outcome: Outcome, seconds: float = 0.0) -> None:
        self._task(self._record(pending, outcome, seconds))

    async def _record(self, pending: PendingCall, outcome: Outcome, seconds: float) -> None:
        outcome = await self._recorder.record(pending, outcome)
        if (line := self.lines.get(pending.made.project_id)) is not None:
            line.alone.discard(pending.made.id)
        self._drop(pending)
        self._recorder.report(pending, outcome, seconds)

    async def _over(self, call: Call) -> PendingCall:
        """A call as it ended. Raises NotFound where its answer is gone meanwhile."""
        pending = PendingCall(call, None)
        if call.state in ("queued", "running"):
            raise NotFound(f"the call {call.id} has no supervisor")
        body = await self._calls.answer(call)
        pending.end(Outcome(call.status or 500, call.answer_headers, body, call.error))
        return pending

    def _keep(self, pending: PendingCall) -> PendingCall:
        self._pending[pending.made.id] = pending
        pending.size = self._calls.body_size(pending.made)
        self.line(pending.made.project_id).size += pending.size
        if pending.request is not None:
            self._by_request[pending.made.project_id, pending.request] = pending
        return pending

    def _drop(self, pending: PendingCall) -> None:
        if self._pending.pop(pending.made.id, None) is not None and pending.made.project_id in self.lines:
            self.lines[pending.made.project_id].size -= pending.size
        if pending.request is not None:
            self._by_request.pop((pending.made.project_id, pending.request), None)

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
