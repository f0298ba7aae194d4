"""Every call that is not over, by its id and by the request digest that makes a repeated request the same call."""

from __future__ import annotations

from bananastand.asgi.bodies import BodyBudget

from ..errors import Conflict
from ..replicas.client import ReplicaRequest
from ..store.calls import Calls, fingerprint, of_request
from ..store.projects import Project
from .pending_call import PendingCall
from .project_queue import ProjectQueue

__all__ = ["CallRegistry"]


class CallRegistry:
    """The pending calls of all projects, and the queues they are in.

    Attributes:
        queues: The queues by project id.
        answers: The budget for the responses of all calls.
    """

    def __init__(self, calls: Calls, answers: BodyBudget) -> None:
        self._calls, self.answers = calls, answers
        self.queues: dict[str, ProjectQueue] = {}
        self._by_id: dict[str, PendingCall] = {}
        self._by_digest: dict[tuple[str, str], PendingCall] = {}
        self._unwritten: set[tuple[str, str]] = set()  # project and digest of calls that have no row yet
        self._settled = 0  # how many have got one, or will have none

    def queue(self, project_id: str) -> ProjectQueue:
        """Return the queue of a project."""
        if (queue := self.queues.get(project_id)) is None:
            queue = self.queues[project_id] = ProjectQueue()
        return queue

    def get(self, call_id: str) -> PendingCall | None:
        """Return the pending call of that id."""
        return self._by_id.get(call_id)

    def all(self) -> list[PendingCall]:
        """Return every pending call."""
        return list(self._by_id.values())

    def repeated(self, project: Project, digest: str) -> PendingCall | None:
        """Return the pending call with that request digest."""
        return self._by_digest.get((project.id, digest))

    async def is_repeat(self, project: Project, request: ReplicaRequest, request_id: str | None) -> bool:
        """Return whether this request was made before under this id, by a call that is over or not."""
        if not request_id:
            return False
        digest = fingerprint(request_id, request)
        return self.repeated(project, digest) is not None or await self._calls.made_before(project, digest) is not None

    async def check_unused(self, project: Project, request_id: str) -> None:
        """Raise Conflict where another call was made under this request id."""
        prefix = of_request(request_id)
        settled = -1
        while settled != self._settled:  # or a row was written while this one has looked for it
            settled = self._settled
            written = await self._calls.other_made_before(project, prefix)
            if written or any(id == project.id and digest.startswith(prefix) for id, digest in self._unwritten):
                raise Conflict(
                    f"the request id {request_id[:100]!r} belongs to another call: send the same method, path and body "
                    "with it, or another id"
                )

    def reserve(self, project: Project, digest: str, pending: PendingCall) -> None:
        """Register a digest whose call is about to be written."""
        self._by_digest[project.id, digest] = pending
        self._unwritten.add((project.id, digest))

    def settle(self, project: Project, digest: str, *, is_written: bool) -> None:
        """Note whether the call of a reserved digest was written."""
        self._unwritten.discard((project.id, digest))
        self._settled += 1
        if not is_written:
            self._by_digest.pop((project.id, digest), None)

    def add(self, pending: PendingCall) -> None:
        """Register a call that has a row; its body counts in its project's queue."""
        self._by_id[pending.call.id] = pending
        self.queue(pending.call.project_id).size += pending.size
        if pending.digest is not None:
            self._by_digest[pending.call.project_id, pending.digest] = pending

    def drop(self, pending: PendingCall) -> None:
        """Forget a call that is over."""
        queue = self.queues.get(pending.call.project_id)
        if self._by_id.pop(pending.call.id, None) is not None and queue is not None:
            queue.size -= pending.size
        if pending.digest is not None:
            self._by_digest.pop((pending.call.project_id, pending.digest), None)
