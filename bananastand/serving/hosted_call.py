"""One call of a hosted app: between the caller's connection, on the event loop, and the thread of its handler."""

from __future__ import annotations

import asyncio
import queue
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from .. import cancel
from ..worker import wire
from ..worker.handlers import HandlerCall, Stream
from ..worker.potassium_app import PotassiumApp
from ..worker.status import Status
from ..worker.wire import WireResponse

__all__ = [
    "BrokenStream",
    "CallOwner",
    "HostedCall",
    "HostedRoute",
    "Receive",
    "Send",
    "decode_headers",
    "send_response",
]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WATCH_AFTER = 0.02  # seconds: a handler that takes longer is cancelled when its caller leaves
GONE, LATE = "the caller is gone", "out of time"
NOT_RUN = "x-bananastand-not-run"  # the host's own header: no response of an app carries it


class CallOwner(Protocol):
    """The host, which a call reports to."""

    status: Status

    def finished(self, call: HostedCall) -> None:
        """The handler of a call has ended."""
        ...


@dataclass(frozen=True)
class HostedRoute:
    """A path of the app.

    Attributes:
        app: The app.
        path: The path.
        function: The handler, of the context and the request.
        background: Whether the caller is answered before the handler runs.
        wait: The metric of the seconds before the handler starts.
        run: The metric of the seconds in the handler.
    """

    app: PotassiumApp
    path: str
    function: Any
    background: bool
    wait: Any
    run: Any

    def handle(self, context: Any, request: Any, headers: list[wire.Header], body: bytes) -> WireResponse | None:
        """Run the handler.

        Args:
            context: What init() returned.
            request: The app's request; None to parse it here. A large body waits as bytes, as its JSON takes many
                times as much memory.
            headers: Of the request.
            body: Of the request.

        Returns:
            The response; None for a background handler.
        """
        output = self.function(context, self.app.request(headers, body) if request is None else request)
        if self.background:
            return None
        status, named, content = self.app.response(output)
        return WireResponse(status, content, [(name, value) for name, value in named if name != NOT_RUN])


class HostedCall:
    """A call on its way. It is created on the event loop; `handler_call` goes to the threads.

    Args:
        owner: The host.
        route: The path that was called.
        request: The app's request; None to parse it on the handler's thread.
        headers: Of the request.
        body: Of the request.
        timeout: Seconds until the handler is cancelled.
    """

    def __init__(
        self,
        owner: CallOwner,
        route: HostedRoute,
        request: Any,
        headers: list[wire.Header],
        body: bytes,
        timeout: float,
    ) -> None:
        self._owner, self.route, self._timeout, self.size = owner, route, timeout, len(body)
        self._loop = asyncio.get_running_loop()
        self._head: asyncio.Future[None] = self._loop.create_future()
        self._more = asyncio.Event()
        self._began = 0.0
        self.handler_call = HandlerCall(
            lambda context: route.handle(context, request, headers, body), cancel.Token(timeout), self
        )

    # The handler's side: these run on its thread.

    def began(self) -> None:
        """The handler starts."""
        self._began = time.perf_counter()
        self._owner.status.began(self.handler_call)
        self.route.wait.observe(self._began - self.handler_call.arrived)

    def answered(self) -> None:
        """There is a response, whose body still streams."""
        self._loop.call_soon_threadsafe(self._resolve)

    def chunk(self) -> None:
        """There is one more chunk of the stream."""
        self._loop.call_soon_threadsafe(self._more.set)

    def ended(self) -> None:
        """The handler has ended."""
        self.route.run.observe(time.perf_counter() - self._began)
        self._loop.call_soon_threadsafe(self._finish)

    # The event loop's side.

    def _finish(self) -> None:
        self._owner.status.ended(self.handler_call)
        self._owner.finished(self)
        if self.route.background and self.handler_call.error is not None:  # no caller waits for it
            sys.stderr.write(f"the background task {self.route.path} failed\n{self.handler_call.traceback}")
        self._more.set()
        self._resolve()

    def _resolve(self) -> None:
        if not self._head.done():
            self._head.set_result(None)

    async def answer(self, receive: Receive, send: Send) -> int:
        """Wait for the handler and answer the caller; returns the status, 499 where the caller left first."""
        watch = self._loop.call_later(min(WATCH_AFTER, self._timeout), self._watch, receive)
        self._watcher: asyncio.Task[None] | None = None
        try:
            await self._head
            return await self._respond(send)
        finally:
            watch.cancel()
            if self._watcher:
                self._watcher.cancel()
                self._watcher = None  # it holds a reference to this call

    def _watch(self, receive: Receive) -> None:
        """Watch the caller's connection; most handlers are done before this starts."""
        self._watcher = self._loop.create_task(self._cancel_if_gone_or_late(receive))

    async def _cancel_if_gone_or_late(self, receive: Receive) -> None:
        reason = GONE
        try:
            async with asyncio.timeout(self._timeout - WATCH_AFTER):
                while (await receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            reason = LATE
        self.handler_call.token.cancel(reason)
        self._resolve()

    async def _respond(self, send: Send) -> int:
        response: WireResponse | None = self.handler_call.response
        if response is None:
            reason = _cancel_reason(self.handler_call)
            if reason == GONE:
                return 499
            return await send_response(send, self._failure(reason))
        stream = self.handler_call.stream
        if stream is None:
            return await send_response(send, response)
        await send(_head(response))
        is_events = any(name == "content-type" and v.startswith("text/event-stream") for name, v in response.headers)
        await self._stream(send, stream, is_events)
        return response.status

    async def _stream(self, send: Send, stream: Stream, is_events: bool) -> None:
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
        last, reason = b"", _cancel_reason(self.handler_call)
        if self.handler_call.error is not None and reason != GONE:
            error = self._failure(reason).body
            if not is_events:  # nothing may follow that looks like an end
                raise BrokenStream
            last = b"event: error\ndata: " + error + b"\n\n"
        await send({"type": "http.response.body", "body": last})

    def _failure(self, reason: str | None) -> WireResponse:
        """Return the error response; the traceback goes to the log, under the id in the response."""
        if reason is not None:
            code, status = ("timeout", 504) if reason == LATE else ("cancelled", 503)
            return wire.error_response(status, code, f"the request was called off: {reason}")
        error = self.handler_call.error
        if isinstance(error, wire.BadRequest):
            return wire.error_response(400, error.code, str(error))
        error_id = uuid.uuid4().hex
        sys.stderr.write(f"error {error_id}\n{self.handler_call.traceback}")
        return wire.error_response(500, "internal", f"the handler failed; error id {error_id}")


class BrokenStream(Exception):
    """A stream failed: the connection is closed in the middle, so that the caller sees the failure."""


def _cancel_reason(call: HandlerCall) -> str | None:
    """Return why a call was cancelled; None where its handler returned or failed by itself."""
    if call.error is not None and not isinstance(call.error, cancel.Cancelled):
        return None
    try:
        call.token.check()
    except cancel.Cancelled as reason:
        return str(reason)
    return None


def decode_headers(headers: list[tuple[bytes, bytes]]) -> list[wire.Header]:
    """Decode the headers of an ASGI request."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


async def send_response(send: Send, response: WireResponse, *, head_only: bool = False) -> int:
    """Send a whole response; returns its status."""
    head = _head(response)
    head["headers"].append((b"content-length", str(len(response.body)).encode()))
    await send(head)
    await send({"type": "http.response.body", "body": b"" if head_only else response.body})
    return response.status


def _head(response: WireResponse) -> Message:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    return {"type": "http.response.start", "status": response.status, "headers": headers}
