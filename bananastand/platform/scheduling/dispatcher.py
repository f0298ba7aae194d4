"""Accepts calls, finds and cancels them, and ends those that wait too long.

Everything happens on one event loop. A call's row is written before the call is acknowledged; a caller who waits awaits
a future, so nothing polls the database.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from bananastand.asgi.bodies import BodyBudget
from bananastand.task_set import TaskSet

from ..errors import NotFound, TooBusy
from ..replicas.client import Headers, ReplicaRequest
from ..replicas.pool import Pool
from ..settings import Settings
from ..store.blobs import SMALL
from ..store.bodies import RETRY_AFTER, FileBody, TooLarge
from ..store.calls import JSON_BODY, CallOutcome, CallRow, Calls, fingerprint, leased_to
from ..store.projects import Project, Projects
from . import outcomes
from .call_registry import CallRegistry
from .call_runner import CallRunner
from .pending_call import PendingCall, Session
from .project_queue import ProjectQueue
from .recovery import recover
from .repeat import REPEAT
from .request_check import check_request

__all__ = ["Dispatcher"]

BODIES_IN_MEMORY = 256  # waiting calls of a project whose small bodies stay in memory
CLOSE_SECONDS = 5.0  # for the last ends to be recorded when the platform stops


class Dispatcher:
    """All calls that are not over.

    Attributes:
        on_end: Called with every call that ends, its outcome, and the seconds it ran.
    """

    def __init__(self, settings: Settings, calls: Calls, projects: Projects, pool: Pool) -> None:
        self._settings, self._calls, self._pool = settings, calls, pool
        self._tasks = TaskSet()
        self._registry = CallRegistry(calls, BodyBudget(settings.answer_memory))
        self._runner = CallRunner(settings, calls, projects, pool, self._registry, self._tasks)
        self.on_end = self._runner.recorder.on_end
        self._is_stopping = False

    def set_on_change(self, on_change: Callable[[str, bool], None]) -> None:
        """Have `on_change` called when a call was queued or has left its replica; see `CallRunner.on_change`."""
        self._runner.on_change = on_change

    @property
    def queues(self) -> dict[str, ProjectQueue]:
        """The queues by project id."""
        return self._registry.queues

    def queue(self, project_id: str) -> ProjectQueue:
        """Return the queue of a project."""
        return self._registry.queue(project_id)

    async def recover(self) -> int:
        """Take up what an earlier supervisor left; return how many calls. To be called once, before anything else."""
        return await recover(self._settings, self._calls, self._registry, self._runner)

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
        """Write a call's row, queue it, and return the call: it is acknowledged.

        Args:
            project: The project whose app is called.
            route: Path with its query, percent-encoded.
            body: The body as it was sent.
            method: The HTTP method.
            headers: The headers that the app may see.
            run_id: The caller's id for the run.
            request_id: A call of the same id, method, route and body is that call again.
            strict: Whether another call of the same id is refused; else it is a call of its own.
            durable: Whether the call survives a power cut from now on; else from its end on, for a caller who waits.
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
        request = ReplicaRequest(method, route, headers, body)
        check_request(request, run_id)
        strict_id = request_id if strict else None
        repeat = None if request_id else REPEAT.get()
        request_id = repeat.id if repeat is not None else request_id
        digest = fingerprint(request_id, request) if request_id else None
        is_new = digest is None or (repeat is not None and repeat.is_first)
        if (
            digest is not None
            and not is_new
            and (earlier := await self._earlier(project, digest, strict_id)) is not None
        ):
            return earlier
        self.check_capacity(project, len(body))
        in_memory, answers = self._body_in_memory(project, body), self._registry.answers
        pending = PendingCall(None, in_memory, session, len(body), answers)
        if digest is not None:
            self._registry.reserve(project, digest, pending)
        cold = not any(replica.state == "ready" for replica in self._pool.of_project(project.id))
        call = self._calls.new(project, request, run_id=run_id, digest=digest, cold=cold)
        if self._add_now(project, pending, call, body):
            if durable:
                await self._wait_until_durable(pending)
            return pending
        row = self._calls.add(call, body, durable=durable)
        adding = self._tasks.start(self._add(project, pending, row, digest))
        try:
            await asyncio.shield(adding)
        except asyncio.CancelledError:  # the caller has left; its row may have been written all the same
            if digest is None:
                adding.add_done_callback(lambda _: self._tasks.start(self._cancel_unacknowledged(pending)))
            raise
        return pending

    async def _earlier(self, project: Project, digest: str, strict_id: str | None) -> PendingCall | None:
        """Return the call of that digest, over or not. Raises Conflict where another call has the id `strict_id`."""
        call = None
        if self._registry.repeated(project, digest) is None:
            call = await self._calls.made_before(project, digest)
            if call is None and strict_id is not None and self._registry.repeated(project, digest) is None:
                await self._registry.check_unused(project, strict_id)
        if (pending := self._registry.repeated(project, digest)) is not None:  # perhaps since this one has looked
            await asyncio.shield(pending.written)  # which another caller may wait for too
            return pending
        return await self._finished(call) if call is not None else None

    def check_capacity(self, project: Project, size: int = 0) -> None:
        """Raise TooBusy where the project's queue takes no further call with a body of `size` bytes."""
        queue, settings = self.queue(project.id), self._settings
        if len(queue.waiting) >= settings.queue_length:
            reason = f"{len(queue.waiting)} calls wait in the queue of {project.name}, its limit"
        elif queue.size and queue.size + size > settings.queue_bytes:
            reason = f"the bodies in the queue of {project.name} hold {queue.size} bytes, close to its limit"
        else:
            return
        raise TooBusy(f"{reason}: try again in {RETRY_AFTER} s", RETRY_AFTER)

    async def is_repeat(self, project: Project, request: ReplicaRequest, request_id: str | None) -> bool:
        """Return whether this request was made before under this id."""
        if not request_id and (repeat := REPEAT.get()) is not None:
            request_id = None if repeat.is_first else repeat.id
        return await self._registry.is_repeat(project, request, request_id)

    async def find(self, id: str) -> PendingCall | None:
        """Return the call with this call id or run id, over or not; None if there is none."""
        if pending := self._registry.get(id):
            return pending
        call = await self._calls.find(id)
        if call is None:
            return None
        return self._registry.get(call.id) or await self._finished(call)

    async def cancel(self, id: str, outcome: CallOutcome = outcomes.CANCELLED) -> bool:
        """Cancel a call, which ends with `outcome`; return False if there is none, or it is over."""
        pending = await self.find(id)
        if pending is None or pending.done.done() or pending.cancelled is not None:
            return False
        pending.cancelled = outcome
        queue = self.queue(pending.call.project_id)
        if pending.call.id in queue.running:
            if pending.task is not None:
                pending.task.cancel()
            return True
        with suppress(ValueError):
            queue.waiting.remove(pending)
            self._runner.end(pending, outcome)
            self._runner.on_change(pending.call.project_id, False)
        return True

    def assign(self, project_id: str) -> None:
        """Hand the waiting calls of a project to its free replicas."""
        self._runner.assign(project_id)

    def expire(self, project_id: str) -> float | None:
        """End a project's calls that have waited too long; return when the next may have, on the monotonic clock."""
        queue, limit = self.queues.get(project_id), self._settings.queue_timeout
        if queue is None:
            return None
        for pending in queue.take_expired(time.monotonic(), limit):
            self._runner.end(pending, outcomes.never_served(limit))
        return None if queue.oldest is None else queue.oldest + limit

    def fail_waiting(self, project_id: str, outcome: CallOutcome) -> None:
        """End all calls that wait in a project's queue."""
        queue = self.queue(project_id)
        waiting, queue.waiting = queue.waiting, deque()
        for pending in waiting:
            self._runner.end(pending, outcome)

    def forget(self, project_id: str) -> None:
        """Drop the calls of a project that is removed with its rows, and end the wait of their callers."""
        queue = self.queues.pop(project_id, ProjectQueue())
        for pending in [*queue.waiting, *queue.running.values()]:
            pending.cancelled = outcomes.REMOVED
            if pending.task is not None:
                pending.task.cancel()
            self._registry.drop(pending)
            pending.end(outcomes.REMOVED)

    def release_waiters(self) -> None:
        """End the wait of all callers, because the platform is about to stop."""
        self._is_stopping = True
        for pending in self._registry.all():
            pending.release_waiters()

    def stop_assigning(self) -> None:
        """Hand no further call to a replica."""
        self._runner.is_closing = True

    async def close(self) -> None:
        """Stop assigning. Running calls go back to the queue, in their rows; ends that are known are recorded."""
        self.stop_assigning()
        await asyncio.sleep(0)
        for queue in self.queues.values():
            for pending in queue.running.values():
                if pending.task is not None:
                    pending.task.cancel()
        await self._tasks.close(CLOSE_SECONDS)

    def _add_now(self, project: Project, pending: PendingCall, call: CallRow, body: bytes | FileBody) -> bool:
        """Write a call's row at once, in the hands of a free replica if there is one.

        Returns:
            Whether it is written; False where it has to wait for somebody who writes.

        Raises:
            StoreError: There is no row.
        """
        if not isinstance(body, bytes) or len(body) > SMALL:
            return False
        replica = self._runner.free_replica(project, pending)
        if replica is not None:
            call = leased_to(call, replica.id, project.inference_timeout)
        try:
            written = self._calls.add_now(call, body)
            if written is None:
                return False
            pending.acknowledge(written)
        except BaseException as error:
            pending.reject(error)
            raise
        finally:
            if call.request is not None and pending.written.done():
                self._registry.settle(project, call.request, is_written=pending.is_acknowledged)
        self._register(pending)
        if replica is not None:
            self._runner.hand_over(project, pending, replica)
        else:
            self._queue(project, pending)
        return True

    async def _wait_until_durable(self, pending: PendingCall) -> None:
        """Wait for the disk; a call that is not acknowledged is cancelled. Raises StoreError."""
        try:
            await self._calls.sync()
        except BaseException:
            if pending.digest is None:
                self._tasks.start(self._cancel_unacknowledged(pending))
            raise

    async def _add(
        self, project: Project, pending: PendingCall, row: Coroutine[Any, Any, CallRow], digest: str | None
    ) -> None:
        """Write a call's row and queue it. Raises StoreError: then there is none."""
        try:
            pending.acknowledge(await row)
        except BaseException as error:
            pending.reject(error)
            raise
        finally:
            if digest is not None:
                self._registry.settle(project, digest, is_written=pending.is_acknowledged)
        self._register(pending)
        self._queue(project, pending)

    def _register(self, pending: PendingCall) -> None:
        self._registry.add(pending)
        if self._is_stopping:
            pending.release_waiters()

    def _queue(self, project: Project, pending: PendingCall) -> None:
        self.queue(project.id).waiting.append(pending)
        self._runner.dispatch(project.id)

    async def _cancel_unacknowledged(self, pending: PendingCall) -> None:
        """Cancel a call whose caller left before it was acknowledged."""
        if pending.is_acknowledged:
            await self.cancel(pending.call.id)

    def _body_in_memory(self, project: Project, body: bytes | FileBody) -> bytes | None:
        """Return a small body that stays in memory until a replica gets it; the others are read again then."""
        is_short = len(self.queue(project.id).waiting) < BODIES_IN_MEMORY
        return body if isinstance(body, bytes) and len(body) <= SMALL and is_short else None

    async def _finished(self, call: CallRow) -> PendingCall:
        """Return a call that is over, with its outcome. Raises NotFound where its answer is gone meanwhile."""
        if call.state in ("queued", "running"):  # when its row was read; it may have ended since
            call = await self._calls.find(call.id) or call
        if call.state in ("queued", "running"):
            raise NotFound(f"the call {call.id} has no supervisor")
        pending = PendingCall(call, None)
        body = await self._calls.answer(call)
        pending.end(CallOutcome(call.status or 500, call.answer_headers, body, call.error))
        return pending
