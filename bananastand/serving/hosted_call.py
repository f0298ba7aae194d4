"""One call between its caller's connection, on the event loop, and the worker thread that runs the handler."""

from __future__ import annotations

import asyncio
import functools
import queue
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from .. import cancel
from ..worker.handlers import Call, Stream
from ..worker.status import Status
from . import wire
from .wire import Answer

__all__ = ["BrokenStream", "Exchange", "Owner", "Receive", "Route", "Send", "send_answer"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WATCH_AFTER = 0.02  # seconds: a handler that takes longer is called off when its caller leaves
GONE, LATE = "the caller is gone", "out of time"


class Owner(Protocol):
    """What an exchange reports to."""

    status: Status

    def over(self, exchange: Exchange) -> None:
        """The handler is done with it."""
        ...


@dataclass(frozen=True)
class Route:
    """A path of the app: its handler, and the metrics of its requests."""

    path: str
    function: Any
    background: bool
    wait: Any
    run: Any


class Exchange:
    """Made on the event loop; `call` goes to the workers."""

    def __init__(
        self, owner: Owner, route: Route, request: Any, headers: list[wire.Header], body: bytes, timeout: float
    ) -> None:
        self._owner, self.route, self._timeout, self.size = owner, route, timeout, len(body)
        self._loop = asyncio.get_running_loop()
        self._head: asyncio.Future[None] = self._loop.create_future()
        self._more = asyncio.Event()
        self._began = 0.0
        self.call = Call(functools.partial(_run, route.function, request, headers, body), cancel.Token(timeout), self)

    # The worker's side: these run on its thread.

    def began(self) -> None:
        self._began = time.perf_counter()
        self._owner.status.began(self.call)
        self.route.wait.observe(self._began - self.call.arrived)

    def answered(self) -> None:
        """There is a response whose body is yet to come."""
        self._loop.call_soon_threadsafe(self._resolve)

    def chunk(self) -> None:
        self._loop.call_soon_threadsafe(self._more.set)

    def ended(self) -> None:
        self.route.run.observe(time.perf_counter() - self._began)
        self._loop.call_soon_threadsafe(self._over)

    # The event loop's side.

    def _over(self) -> None:
        self._owner.status.ended(self.call)
        self._owner.over(self)
        if self.route.background and self.call.error is not None:  # it has nobody to answer
            sys.stderr.write(f"the background task {self.route.path} failed\n{self.call.traceback}")
        self._more.set()
        self._resolve()

    def _resolve(self) -> None:
        if not self._head.done():
            self._head.set_result(None)

    async def answer(self, receive: Receive, send: Send) -> int:
        """Wait for the handler and answer the caller. Returns the status, 499 where the caller left first."""
        watch = self._loop.call_later(min(WATCH_AFTER, self._timeout), self._watch, receive)
        self._watcher: asyncio.Task[None] | None = None
        try:
            await self._head
            return await self._respond(send)
        finally:
            watch.cancel()
            if self._watcher:
                self._watcher.cancel()
                self._watcher = None  # it holds us

    def _watch(self, receive: Receive) -> None:
        """Most handlers are done before this starts."""
        self._watcher = self._loop.create_task(self._until_gone_or_late(receive))

    async def _until_gone_or_late(self, receive: Receive) -> None:
        reason = GONE
        try:
            async with asyncio.timeout(self._timeout - WATCH_AFTER):
                while (await receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            reason = LATE
        self.call.token.cancel(reason)
        self._resolve()

    async def _respond(self, send: Send) -> int:
        call = self.call
        if call.response is None:
            reason = _reason(call)
            if reason == GONE:
                return 499
            return await send_answer(send, self._failure(reason))
        try:
            status, headers, body = wire.response_head(call.response)
        except Exception as problem:
            call.token.cancel("its response is none")
            call.error, call.traceback = problem, f"{type(problem).__name__}: {problem}\n"
            return await send_answer(send, self._failure(None))
        if isinstance(body, bytes):
            return await send_answer(send, Answer(status, body, headers))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        assert call.stream is not None  # Potassium lets a body be bytes or a generator
        await self._stream(send, call.stream, any(value.startswith(b"text/event-stream") for _, value in headers))
        return status

    async def _stream(self, send: Send, stream: Stream, events: bool) -> None:
        call = self.call
        while True:
            self._more.clear()
            try:
                chunk = stream.chunks.get_nowait()
            except queue.Empty:
                await self._more.wait()
                continue
            if chunk is None:
                break
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            stream.room.release()
        last = b""
        if call.error is not None and _reason(call) != GONE:
            told = self._failure(_reason(call)).body
            if not events:  # nothing may follow that looks like an end
                raise BrokenStream
            last = b"event: error\ndata: " + told + b"\n\n"
        await send({"type": "http.response.body", "body": last})

    def _failure(self, reason: str | None) -> Answer:
        """What the caller is told; the traceback goes to the log under the id that the caller gets."""
        if reason is not None:
            code, status = ("timeout", 504) if reason == LATE else ("cancelled", 503)
            return wire.error(status, code, f"the request was called off: {reason}")
        if isinstance(self.call.error, wire.BadRequest):
            return wire.error(400, self.call.error.code, str(self.call.error))
        error_id = uuid.uuid4().hex
        sys.stderr.write(f"error {error_id}\n{self.call.traceback}")
        return wire.error(500, "internal", f"the handler failed; error id {error_id}")


def _run(
    function: Callable[[Any, Any], Any], request: Any, headers: list[wire.Header], body: bytes, context: Any
) -> Any:
    """A large body waits as bytes: its JSON takes many times as much memory once it is parsed."""
    return function(context, wire.read_request(headers, body) if request is None else request)


class BrokenStream(Exception):
    """A stream broke off: the connection is closed in the middle, so that the caller can tell."""


def _reason(call: Call) -> str | None:
    """Why the call was called off, or None where its handler ran to an end of its own, good or bad."""
    if call.error is not None and not isinstance(call.error, cancel.Cancelled):
        return None
    try:
        call.token.check()
    except cancel.Cancelled as reason:
        return str(reason)
    return None


async def send_answer(send: Send, answer: Answer, *, head_only: bool = False) -> int:
    """Send a whole answer; returns its status."""
    length = (b"content-length", str(len(answer.body)).encode())
    await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, length]})
    await send({"type": "http.response.body", "body": b"" if head_only else answer.body})
    return answer.status
