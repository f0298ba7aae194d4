"""Assigns waiting calls to free replicas, follows each attempt to its end, and requeues or ends the call.

Whatever an attempt raises, its call ends or goes back to the queue, and its place in the replica is free again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from bananastand.task_set import TaskSet

from ..errors import StoreError
from ..replicas.pool import Pool
from ..replicas.replica import Replica
from ..settings import Settings
from ..store.calls import CallOutcome, Calls
from ..store.projects import Project, Projects
from . import outcomes
from .assignment import next_assignment
from .attempts import AttemptResult, AttemptRunner
from .call_registry import CallRegistry
from .pending_call import PendingCall
from .project_queue import ProjectQueue
from .recorder import RETRY_SECONDS, Recorder

__all__ = ["CallRunner"]

log = logging.getLogger("bananastand.platform")


class CallRunner:
    """Runs the calls of a registry in the replicas of a pool.

    Attributes:
        on_change: Called with a project's id when a call was queued, handed to a replica or has left it, and with
            whether calls wait.
        recorder: Records how calls end.
        is_closing: Whether no further call is assigned.
    """

    def __init__(
        self,
        settings: Settings,
        calls: Calls,
        projects: Projects,
        pool: Pool,
        registry: CallRegistry,
        tasks: TaskSet,
    ) -> None:
        self._calls, self._projects, self._pool = calls, projects, pool
        self._registry, self._tasks = registry, tasks
        self._attempts = AttemptRunner(settings, calls, pool)
        self.recorder = Recorder(calls, projects)
        self.on_change: Callable[[str, bool], None] = lambda project_id, calls_wait: None
        self.is_closing = False

    def dispatch(self, project_id: str) -> None:
        """Assign waiting calls, and let the autoscaler know that something has changed."""
        self.assign(project_id)
        queue = self._registry.queues.get(project_id)
        self.on_change(project_id, queue is not None and bool(queue.waiting))

    def free_replica(self, project: Project, pending: PendingCall) -> Replica | None:
        """Return the replica that a new call would be handed to now; None where it would wait."""
        queue = self._registry.queue(project.id)
        if queue.waiting or self.is_closing:
            return None
        assignment = next_assignment((pending,), self._pool.live_replicas(project))
        return None if assignment is None else assignment[1]

    def assign(self, project_id: str) -> None:
        """Hand the waiting calls of a project to its free replicas."""
        project, queue = self._projects.get(project_id), self._registry.queues.get(project_id)
        while queue is not None and queue.waiting and project is not None and not self.is_closing:
            assignment = next_assignment(queue.waiting, self._pool.live_replicas(project))
            if assignment is None:
                return
            pending, replica = assignment
            queue.waiting.remove(pending)
            self.hand_over(project, pending, replica)

    def end(self, pending: PendingCall, outcome: CallOutcome, seconds: float = 0.0) -> None:
        """Record how a call ended, then report it. `seconds` is how long it ran."""
        self._tasks.start(self._record(pending, outcome, seconds))

    def hand_over(self, project: Project, pending: PendingCall, replica: Replica) -> None:
        """Start an attempt of a call in a replica that has capacity for it."""
        queue = self._registry.queue(project.id)
        pending.replica, pending.shared = replica, replica.inflight > 0
        if pending.shared:
            for neighbour in queue.running.values():
                neighbour.shared = neighbour.shared or neighbour.replica is replica
        replica.inflight += 1
        replica.is_exclusive = pending.alone
        queue.running[pending.call.id] = pending
        queue.last_served = time.monotonic()
        self._tasks.start(self._run(project, queue, pending, replica))
        self.on_change(project.id, False)

    async def _run(self, project: Project, queue: ProjectQueue, pending: PendingCall, replica: Replica) -> None:
        """Make one attempt, from its lease to the moment at which the replica is free again, and record the end."""
        outcome, seconds = None, 0.0
        try:
            begun = time.monotonic()
            attempt = await self._attempt(project, pending, replica)
            seconds = time.monotonic() - begun
            try:
                if attempt.outcome is None and attempt.pause and not self.is_closing:
                    await asyncio.sleep(attempt.pause)
            finally:
                outcome = self._settle(queue, pending, attempt)
            if attempt.busy is not None and not self.is_closing:
                if outcome is not None:
                    self.end(pending, outcome, seconds)
                    outcome = None
                await self._attempts.wait_until_free(replica, attempt)
        except Exception:
            log.exception("replica %s is ended: the platform failed to follow what it does", replica.id)
            replica.kill("the platform failed to follow what it does")
        finally:
            replica.release()
            self.dispatch(project.id)
        if outcome is not None:
            await self._record(pending, outcome, seconds)

    async def _attempt(self, project: Project, pending: PendingCall, replica: Replica) -> AttemptResult:
        """Lease the call and make the attempt. Raises nothing."""
        if pending.cancelled is not None:
            return AttemptResult(pending.cancelled)
        pending.task = asyncio.current_task()
        try:
            if pending.call.state == "queued":  # a new one may have its lease already
                pending.call = await self._calls.lease(pending.call, replica.id, project.inference_timeout)
            return await self._attempts.run(project, pending, replica)
        except asyncio.CancelledError:
            return AttemptResult(pending.cancelled, counted=False)
        except StoreError:  # there is no lease, and so nothing to take back
            return AttemptResult(None, counted=True, pause=RETRY_SECONDS)
        except Exception as error:
            log.exception("call %s failed inside the platform", pending.call.id)
            return AttemptResult(outcomes.platform_failed(error))
        finally:
            pending.task = None

    def _settle(self, queue: ProjectQueue, pending: PendingCall, attempt: AttemptResult) -> CallOutcome | None:
        """Return the outcome of a call that has left its replica; None for one that goes back into the queue."""
        queue.running.pop(pending.call.id, None)
        pending.replica = None
        outcome = attempt.outcome or pending.cancelled
        if outcome is None:
            self._requeue(queue, pending, attempt)
        return outcome

    def _requeue(self, queue: ProjectQueue, pending: PendingCall, attempt: AttemptResult) -> None:
        call = pending.call
        try:
            pending.call = self._calls.requeue(call, counted=attempt.counted, alone=attempt.alone)
        except Exception as error:  # its row names a lease of a replica that is gone: the next start requeues it
            if not isinstance(error, StoreError):
                log.exception("call %s goes on, but its row could not be written", call.id)
            attempts = call.attempts if attempt.counted else max(0, call.attempts - 1)
            alone = attempt.alone or call.alone
            pending.call = replace(call, state="queued", lease=None, attempts=attempts, alone=alone)
        if pending.alone:
            queue.isolated.add(call.id)
        queue.requeue(pending)

    async def _record(self, pending: PendingCall, outcome: CallOutcome, seconds: float) -> None:
        outcome = await self.recorder.record(pending, outcome)
        queue = self._registry.queues.get(pending.call.project_id)
        if queue is not None and pending.call.id in queue.isolated:
            queue.isolated.discard(pending.call.id)
            self.on_change(pending.call.project_id, bool(queue.waiting))
        self._registry.drop(pending)
        self.recorder.report(pending, outcome, seconds)
