"""A call in memory, from its arrival until its end is recorded: who waits for it, and what its app streams."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable

from bananastand.asgi.bodies import BodyBudget, BodyReservation, BudgetExceeded

from ..replicas.client import Headers, NoRoomForResponse
from ..replicas.replica import Replica
from ..store.blobs import SMALL
from ..store.calls import CallOutcome, CallRow
from ..store.projects import Project

__all__ = ["PendingCall", "Session"]

Session = Callable[[Project, "PendingCall", Replica], Awaitable[CallOutcome]]

EVENT_STREAM = "text/event-stream"
BUFFER_SECONDS = 0.02  # a response that ends this soon after its first chunk is sent at once, with its length


class PendingCall:
    """A call that is not over.

    Args:
        call: Its row; None for a call that is not written yet.
        body: The request's body, where it stays in memory.
        session: Holds the replica in place of one request, such as a websocket. It is awaited in the replica's slot
            and returns the outcome. Raises RequestNotDelivered if the app has seen nothing of it.
        size: Bytes of the request's body.
        answers: The budget for the responses of all calls; a response counts while this object exists.

    Attributes:
        queued: When it was queued, on the monotonic clock.
        digest: The request digest under which a repeated request finds this call.
        cancelled: The outcome it was cancelled with.
        task: The attempt that runs.
        written: Done when the row is written; raises if it could not be.
        done: Done when the end is recorded.
        released: Done when nobody need wait any longer though the call is not over: the platform stops and does the
            call later, or the end cannot be recorded for a while.
        release_reason: What those who wait are answered then.
        response_head: Status and headers of a response that streams, once it does.
        streamed: Whether a caller has received part of the response.
        replica: The replica it is in.
        node_losses: How many nodes were lost under it.
        shared: Whether another call was in that replica at any time of this attempt.
    """

    def __init__(
        self,
        call: CallRow | None = None,
        body: bytes | None = None,
        session: Session | None = None,
        size: int = 0,
        answers: BodyBudget | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._call, self.body, self.session, self.size = call, body, session, size
        self.digest = call.request if call is not None else None
        self.queued = time.monotonic()
        self.cancelled: CallOutcome | None = None
        self.task: asyncio.Task[None] | None = None
        self.written: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[CallOutcome] = loop.create_future()
        self.released: asyncio.Future[None] = loop.create_future()
        self.release_reason: str | None = None
        self.response_head: tuple[int, Headers] | None = None
        self.streamed = self.shared = False
        self.node_losses = 0
        self.replica: Replica | None = None
        self._received_head: tuple[int, Headers] | None = None
        self._chunks: list[bytes] = []
        self._answers, self._received = answers, 0
        self._reservation: BodyReservation | None = None
        self._watchers: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        if call is not None:
            self.written.set_result(None)

    @property
    def call(self) -> CallRow:
        """The call as its row has it; only once it is written."""
        assert self._call is not None, "the call has no row yet"
        return self._call

    @call.setter
    def call(self, call: CallRow) -> None:
        self._call = call

    @property
    def is_acknowledged(self) -> bool:
        """Whether the call has a row."""
        return self._call is not None

    @property
    def alone(self) -> bool:
        """Whether it is tried with no other call beside it."""
        return self._call is not None and self._call.alone

    @property
    def has_response(self) -> bool:
        """Whether the app has begun a response in this attempt."""
        return self._received_head is not None

    def acknowledge(self, call: CallRow) -> None:
        """Note that the call's row is written."""
        self._call, self.digest = call, call.request
        self.written.set_result(None)

    def reject(self, error: BaseException) -> None:
        """Note that no row could be written: there is no call."""
        self.written.set_exception(error)
        self.written.exception()  # the submitter raises it too

    def begin_response(self, status: int, headers: Headers) -> None:
        """Note that the app begins a response."""
        if not self.streamed:
            self._chunks.clear()
            self._received_head = (status, headers)

    async def add_chunk(self, chunk: bytes) -> None:
        """Add a chunk of the response, which streams from then on unless it ends within BUFFER_SECONDS.

        Raises:
            NoRoomForResponse: The responses of all calls are too large together.
        """
        self._reserve(len(chunk))
        if self._received_head is None:
            return
        self._chunks.append(chunk)
        if self.response_head is not None:
            self._notify()
        elif _is_event_stream(self._received_head[1]):
            self._stream()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BUFFER_SECONDS, self._stream)

    def end_response(self) -> None:
        """Note that the last chunk was added; the outcome has a response that did not stream."""
        self._stop_timer()
        if self.response_head is None:
            self._chunks.clear()

    def discard_response(self) -> None:
        """Forget the response of an attempt that is lost, unless a caller has part of it."""
        self._stop_timer()
        if not self.streamed:
            self.response_head = self._received_head = None
            self._chunks.clear()
            self._received = 0
            if self._reservation is not None:
                self._reservation.release()

    def end(self, outcome: CallOutcome) -> None:
        """Give the outcome to those who wait; only the first one counts."""
        self._stop_timer()
        if not self.done.done():
            self.done.set_result(outcome)
        self._notify()

    def release_waiters(self, reason: str | None = None) -> None:
        """End the wait of all callers though the call is not over; `reason` is what they are answered."""
        if not self.released.done():
            self.release_reason = reason
            self.released.set_result(None)
        self._notify()

    async def outcome(self, timeout: float | None = None) -> CallOutcome | None:
        """Wait for the outcome.

        Args:
            timeout: Seconds to wait at most; None for no limit.

        Returns:
            The outcome; None if it takes longer, or the waiters are released first.
        """
        await asyncio.wait({self.done, self.released}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return self.done.result() if self.done.done() else None

    @property
    def is_answered(self) -> bool:
        """Whether a response streams, the call is over or its waiters are released."""
        return self.response_head is not None or self.done.done() or self.released.done()

    def watch(self, watcher: asyncio.Future[None]) -> None:
        """Set the result of `watcher` with the next piece of news: a chunk that streams, or what ends the wait."""
        self._watchers.append(watcher)

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield what streams, from its first chunk.

        Ends with the call, and earlier where the response broke off or the waiters are released.
        """
        position = 0
        while True:
            while position < len(self._chunks):
                self.streamed = True
                yield self._chunks[position]
                position += 1
            if self.done.done() or self.released.done():
                return
            self.watch(watcher := asyncio.get_running_loop().create_future())
            await watcher

    def _notify(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)

    def _reserve(self, size: int) -> None:
        """Count a chunk of a response that is not small."""
        self._received += size
        if self._answers is None or self._received <= SMALL:
            return
        if self._reservation is None:
            self._reservation = self._answers.reserve()
            weakref.finalize(self, self._reservation.release)
        try:
            self._reservation.add(self._received - self._reservation.size)
        except BudgetExceeded:
            raise NoRoomForResponse from None

    def _stream(self) -> None:
        self.response_head = self._received_head
        self._notify()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _is_event_stream(headers: Headers) -> bool:
    return any(name == "content-type" and value.lower().startswith(EVENT_STREAM) for name, value in headers)
