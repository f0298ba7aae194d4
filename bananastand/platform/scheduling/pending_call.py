"""A call in memory, from its arrival until its end is recorded: who waits for it, and what it streams meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable

from ..replicas.client import Headers
from ..replicas.replica import Replica
from ..store.calls import Call, Outcome
from ..store.projects import Project

__all__ = ["Session", "PendingCall"]

Session = Callable[[Project, "PendingCall", Replica], Awaitable[Outcome]]

EVENTS = "text/event-stream"
WHOLE = 0.02  # seconds after its first piece in which an answer that ends goes out whole, with its length


class PendingCall:
    """`written` is done when the call's row is there, `done` when its end is recorded.

    Those who wait are `dismissed` when the stand stops: their call is kept, and done when it starts again. They also
    are when the end cannot be recorded for a while; `dismissal` says so.

    Attributes:
        body: The request's, where it is held in memory.
        size: Of the request's body in bytes.
        head: Status and headers of an answer that streams, once it does.
        answering: Whether the app has begun an answer in this attempt.
        streamed: Whether a caller has had part of the answer.
        replica: Where it is, while it is in one.
        shared: Whether another call was in that replica at any time of this attempt.
        session: What holds the replica in place of one request, such as a websocket; it is awaited in the replica's
            slot and returns the call's end. Raises RequestNotDelivered where the app has seen nothing of it.
    """

    def __init__(
        self, call: Call | None = None, body: bytes | None = None, session: Session | None = None, size: int = 0
    ) -> None:
        loop = asyncio.get_running_loop()
        self.call, self.body, self.session = call, body, session
        self.size = size
        self.request = call.request if call is not None else None
        self.queued = time.monotonic()
        self.cancelled: Outcome | None = None
        self.task: asyncio.Task[None] | None = None
        self.written: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[Outcome] = loop.create_future()
        self.head: tuple[int, Headers] | None = None
        self.streamed = self.shared = False
        self.replica: Replica | None = None
        self.dismissal: str | None = None
        self.dismissed: asyncio.Future[None] = loop.create_future()
        self._begun: tuple[int, Headers] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pieces: list[bytes] = []
        self._more = asyncio.Event()
        if call is not None:
            self.written.set_result(None)

    @property
    def made(self) -> Call:
        """The call; only once it is written."""
        assert self.call is not None, "the call has no row yet"
        return self.call

    @property
    def alone(self) -> bool:
        """Whether it is tried with no other call beside it."""
        return self.call is not None and self.call.alone

    @property
    def answering(self) -> bool:
        """Whether the app has begun an answer in this attempt."""
        return self._begun is not None

    def write(self, call: Call) -> None:
        """Its row is there."""
        self.call, self.request = call, call.request
        self.written.set_result(None)

    def refuse(self, error: BaseException) -> None:
        """There is no row, and no call."""
        self.written.set_exception(error)
        self.written.exception()  # the submitter raises it too

    def open(self, status: int, headers: Headers) -> None:
        """An answer begins."""
        if not self.streamed:
            self._pieces.clear()
            self._begun = (status, headers)

    async def take(self, piece: bytes) -> None:
        """One more piece of the answer. From the first on it streams, unless it ends in the next moment."""
        if self._begun is None:
            return
        self._pieces.append(piece)
        if self.head is not None:
            self._more.set()
        elif _is_events(self._begun[1]):
            self._stream()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WHOLE, self._stream)

    def complete(self) -> None:
        """The answer's last piece was there; its end is recorded next."""
        self._stop_timer()
        if self.head is None:
            self._pieces.clear()

    def shut(self) -> None:
        """The attempt is lost; what it said is void."""
        self._stop_timer()
        if not self.streamed:
            self.head = self._begun = None
            self._pieces.clear()

    def end(self, outcome: Outcome) -> None:
        """Its end, once."""
        self._stop_timer()
        if not self.done.done():
            self.done.set_result(outcome)
        self._more.set()

    def release_waiters(self, reason: str | None = None) -> None:
        """Nobody need wait any longer, though the call is not over. reason: what those who wait are told."""
        if not self.dismissed.done():
            self.dismissal = reason
            self.dismissed.set_result(None)
        self._more.set()

    async def outcome(self, wait: float | None = None) -> Outcome | None:
        """Its end; None where that takes longer than the wait, which None makes endless, and when it is dismissed."""
        await asyncio.wait({self.done, self.dismissed}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        return self.done.result() if self.done.done() else None

    async def opened(self) -> bool:
        """Wait until an answer streams, or the call is over or dismissed; whether it streams."""
        while self.head is None and not self.done.done() and not self.dismissed.done():
            self._more.clear()
            await self._more.wait()
        return self.head is not None

    async def pieces(self) -> AsyncGenerator[bytes]:
        """What streams, from its beginning. Ends with the call, and early where it broke off or is dismissed."""
        at = 0
        while True:
            self._more.clear()
            while at < len(self._pieces):
                self.streamed = True
                yield self._pieces[at]
                at += 1
            if self.done.done() or self.dismissed.done():
                return
            await self._more.wait()

    def _stream(self) -> None:
        self.head = self._begun
        self._more.set()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _is_events(headers: Headers) -> bool:
    return any(name == "content-type" and value.lower().startswith(EVENTS) for name, value in headers)
