"""Brings calls to replicas: the queue of each project, leases, attempts, and who waits for what. Starts no replica.

Everything happens on one event loop. A call's row is written before anything else; a waiting caller waits for a future,
so nothing looks into the database again and again. `changed` is called when a call has come or left its replica.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from . import outcomes
from .attempts import Attempt, Attempts
from .blobs import SMALL
from .bodies import AGAIN as RETRY_AFTER
from .bodies import FileBody, TooLarge
from .calls import JSON_BODY, WEBSOCKET, Call, Calls, Outcome, fingerprint, of_request
from .errors import Conflict, NotFound, StoreError, TooBusy
from .pool import Pool
from .projects import Project, Projects
from .replica import Replica
from .replicas.client import Headers, ReplicaRequest
from .settings import Settings
from .ticket import Session, Ticket

__all__ = ["Dispatcher", "Line"]

UNRECORDED = 30.0  # seconds that an end may wait for the disk
AGAIN = 0.5  # seconds between two tries to record it
HELD = 256  # calls of a queue whose bodies stay in memory, where they are small
CLOSING = 5.0  # seconds for the last ends to be written when the stand stops


class Line:
    """The queue of one project, and what is at work."""

    def __init__(self) -> None:
        self.waiting: deque[Ticket] = deque()
        self.at_work: dict[str, Ticket] = {}
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
        self._attempts = Attempts(settings, calls, pool)
        self.lines: dict[str, Line] = {}
        self.changed: Callable[[], None] = lambda: None
        self.ended: list[Callable[[Ticket, Outcome, float], None]] = []
        self._tickets: dict[str, Ticket] = {}  # by call id
        self._by_request: dict[tuple[str, str], Ticket] = {}
        self._being_written: set[tuple[str, str]] = set()  # of these, what has no row yet
        self._tasks: set[asyncio.Task[None]] = set()
        self.closing = self._dismissing = False

    def line(self, project_id: str) -> Line:
        """The queue of a project."""
        return self.lines.setdefault(project_id, Line())

    def recover(self) -> int:
        """Take up what an earlier supervisor left; how many calls. To be called once, before anything else."""
        left = self._calls.unfinished()
        for call in left:
            if call.state == "running":
                call = self._calls.give_back(call, counted=True)
            ticket = self._keep(Ticket(call, None))
            if call.method == WEBSOCKET:
                self._end(ticket, outcomes.CUT_OFF)
            elif call.attempts >= self._settings.attempts:
                self._end(ticket, outcomes.worn_out(call.attempts, "the stand was killed while it ran"))
            else:
                self.line(call.project_id).waiting.append(ticket)
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
        session: Session | None = None,
    ) -> Ticket:
        """Acknowledge a call: its row is written.

        Args:
            project: Whose app is asked.
            route: Path with its query, percent-encoded.
            body: As it was sent.
            method: Of HTTP.
            headers: Those that the app may see.
            run_id: The caller's id for the run.
            request_id: A call of the same id, method, route and body is that call again.
            strict: Refuse another call of the same id; else it is a call of its own.
            session: Holds the replica in place of one request; see Ticket.

        Raises:
            TooLarge: The body is too long.
            TooBusy: The project's queue is full.
            Conflict: With `strict`, the id belongs to another call.
            StoreError: No row can be written.
        """
        if len(body) > self._settings.max_body:
            raise TooLarge(f"the body is longer than {self._settings.max_body} bytes")
        asked = ReplicaRequest(method, route, headers, body)
        request = fingerprint(request_id, asked) if request_id else None
        if request is not None:
            if ticket := self._by_request.get((project.id, request)):
                await ticket.written
                return ticket
            if (call := self._calls.made_before(project, request)) is not None:
                return await self._over(call)
            if strict:
                self._check_unused(project, request_id or "", asked)
        self.check_room(project, len(body))
        ticket = Ticket(None, self._held(project, body), session, len(body))
        if request is not None:
            self._by_request[project.id, request] = ticket
            self._being_written.add((project.id, request))
        cold = not any(each.state == "ready" for each in self._pool.of(project.id))
        try:
            ticket.write(await self._calls.add(project, asked, run_id=run_id, request=request, cold=cold))
        except BaseException as error:
            if request is not None:
                self._by_request.pop((project.id, request), None)
            ticket.refuse(error)
            raise
        finally:
            if request is not None:
                self._being_written.discard((project.id, request))
        self._tickets[ticket.made.id] = ticket
        self.line(project.id).size += ticket.size
        if self._dismissing:
            ticket.dismiss()
        self.line(project.id).waiting.append(ticket)
        self.pump(project.id)
        return ticket

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

    async def find(self, name: str) -> Ticket | None:
        """The call of that id, over or not; None if there is none."""
        if ticket := self._tickets.get(name):
            return ticket
        call = self._calls.find(name)
        if call is None:
            return None
        return self._tickets.get(call.id) or await self._over(call)

    async def cancel(self, name: str, why: Outcome = outcomes.CANCELLED) -> bool:
        """Call it off; False if there is none, or it is over."""
        ticket = await self.find(name)
        if ticket is None or ticket.done.done() or ticket.called_off is not None:
            return False
        ticket.called_off = why
        if ticket.made.id in self.line(ticket.made.project_id).at_work:
            if ticket.task is not None:
                ticket.task.cancel()
            return True
        with suppress(ValueError):
            self.line(ticket.made.project_id).waiting.remove(ticket)
            self._end(ticket, why)
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
        project, line = self._projects.get(project_id), self.lines.get(project_id, Line())
        while line.waiting and project is not None and not self.closing:
            replica = self._pool.free(project)
            if replica is None or not self._hand_over(project, line, line.waiting.popleft(), replica):
                return

    def give_up(self, project_id: str, outcome: Outcome) -> None:
        """End all that wait in a project's queue."""
        line = self.line(project_id)
        waiting, line.waiting = line.waiting, deque()
        for ticket in waiting:
            self._end(ticket, outcome)

    def forget(self, project_id: str) -> None:
        """A project is gone, its rows too: nobody waits any longer."""
        line = self.lines.pop(project_id, Line())
        for ticket in [*line.waiting, *line.at_work.values()]:
            ticket.called_off = outcomes.REMOVED
            if ticket.task is not None:
                ticket.task.cancel()
            self._drop(ticket)
            ticket.end(outcomes.REMOVED)

    def dismiss(self) -> None:
        """The stand is about to stop: nobody waits any longer."""
        self._dismissing = True
        for ticket in self._tickets.values():
            ticket.dismiss()

    async def close(self) -> None:
        """Stop handing out; what is at work goes back to the queue, in its row. Ends that are known are recorded."""
        self.closing = True
        await asyncio.sleep(0)
        for line in self.lines.values():
            for ticket in line.at_work.values():
                if ticket.task is not None:
                    ticket.task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING)
        for task in list(self._tasks):
            task.cancel()

    def _hand_over(self, project: Project, line: Line, ticket: Ticket, replica: Replica) -> bool:
        try:
            ticket.call = self._calls.lease(ticket.made, replica.id, project.inference_timeout)
        except StoreError:
            line.waiting.appendleft(ticket)
            asyncio.get_running_loop().call_later(AGAIN, self.pump, project.id)
            return False
        replica.inflight += 1
        line.at_work[ticket.made.id] = ticket
        line.last_served = time.monotonic()
        self._task(self._run(project, line, ticket, replica))
        return True

    async def _run(self, project: Project, line: Line, ticket: Ticket, replica: Replica) -> None:
        ticket.task, begun = asyncio.current_task(), time.monotonic()
        try:
            attempt = Attempt(ticket.called_off)
            if ticket.called_off is None:
                attempt = await self._attempts.make(project, ticket, replica)
        except asyncio.CancelledError:
            cut_off = outcomes.CUT_OFF if ticket.session is not None else None
            attempt = Attempt(ticket.called_off or cut_off, counted=False)
        ticket.task = None
        seconds = time.monotonic() - begun
        if attempt.outcome is None and attempt.pause and not self.closing:
            await asyncio.sleep(attempt.pause)
        line.at_work.pop(ticket.made.id, None)
        if outcome := attempt.outcome or ticket.called_off:
            self._end(ticket, outcome, seconds)
        else:
            self._give_back(line, ticket, counted=attempt.counted)
        if attempt.busy is not None:
            await self._attempts.until_free(replica, attempt)
        replica.release()
        self.pump(project.id)

    def _give_back(self, line: Line, ticket: Ticket, *, counted: bool) -> None:
        with suppress(StoreError):  # the row says that it is leased by one that is gone: the same at the next start
            ticket.call = self._calls.give_back(ticket.made, counted=counted)
        number = ticket.made.number
        place = next((at for at, each in enumerate(line.waiting) if each.made.number > number), len(line.waiting))
        line.waiting.insert(place, ticket)

    def _end(self, ticket: Ticket, outcome: Outcome, seconds: float = 0.0) -> None:
        self._task(self._record(ticket, outcome, seconds))

    async def _record(self, ticket: Ticket, outcome: Outcome, seconds: float) -> None:
        """Write the end, then tell those who wait. On a full disk it is tried for a while, then called a failure."""
        project = self._projects.get(ticket.made.project_id)
        until = time.monotonic() + UNRECORDED
        while project is not None:
            try:
                ticket.call = await self._calls.finish(ticket.made, outcome, project.model_key)
                break
            except StoreError as error:
                if time.monotonic() > until and not ticket.done.done():
                    outcome = outcomes.not_recorded(error)
                    ticket.end(outcome)
                await asyncio.sleep(AGAIN)
        self._drop(ticket)
        ticket.end(outcome)
        for tell in self.ended:
            tell(ticket, outcome, seconds)

    async def _over(self, call: Call) -> Ticket:
        """A call as it ended. Raises NotFound where its answer is gone meanwhile."""
        ticket = Ticket(call, None)
        if call.state in ("queued", "running"):
            raise NotFound(f"the call {call.id} has no supervisor")
        body = await self._calls.answer(call)
        ticket.end(Outcome(call.status or 500, call.answer_headers, body, call.error))
        return ticket

    def _keep(self, ticket: Ticket) -> Ticket:
        self._tickets[ticket.made.id] = ticket
        ticket.size = self._calls.body_size(ticket.made)
        self.line(ticket.made.project_id).size += ticket.size
        if ticket.request is not None:
            self._by_request[ticket.made.project_id, ticket.request] = ticket
        return ticket

    def _drop(self, ticket: Ticket) -> None:
        if self._tickets.pop(ticket.made.id, None) is not None and ticket.made.project_id in self.lines:
            self.lines[ticket.made.project_id].size -= ticket.size
        if ticket.request is not None:
            self._by_request.pop((ticket.made.project_id, ticket.request), None)

    def _task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
