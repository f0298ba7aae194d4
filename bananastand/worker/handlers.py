"""The threads that run an app's init() and its handlers."""

from __future__ import annotations

import contextlib
import inspect
import queue
import threading
import time
import traceback
from typing import Any, Callable

from . import cancellation

__all__ = ["HandlerCall", "Handlers", "CallListener", "Stream"]

MAX_CHUNKS = 16  # of a stream that may wait for a slow client


class CallListener:
    """Receives the events of a call, on the handler's thread."""

    def began(self) -> None:
        """The handler starts."""

    def answered(self) -> None:
        """`call.response` is set; its body still streams."""

    def chunk(self) -> None:
        """`call.stream.chunks` has one more chunk."""

    def ended(self) -> None:
        """The handler and its stream have ended."""


class Stream:
    """Chunks that wait for the client, at most MAX_CHUNKS of them; None after the last."""

    def __init__(self) -> None:
        self.chunks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.room = threading.Semaphore(MAX_CHUNKS)


class HandlerCall:
    """One request on its way through a handler.

    Args:
        function: Called with the context; returns the response, whose attribute `body` may be a generator of chunks.
        token: See `cancellation`.
        listener: Receives the events of the call. The call drops it and the error's traceback when it ends: they refer
            to each other, and would keep the response until the next garbage collection.
    """

    def __init__(self, function: Callable[[Any], Any], token: Any, listener: Any) -> None:
        self.function, self.token = function, token
        self._listener: Any | None = listener
        self.arrived = time.perf_counter()
        self.response: Any = None
        self.error: BaseException | None = None
        self.traceback = ""
        self.stream: Stream | None = None

    def run(self, context: Any) -> None:
        """Run the handler, then its stream, unless the call was cancelled while it waited."""
        listener, self._listener = self._listener, None
        assert listener is not None, "a call runs once"
        listener.began()
        try:
            with cancellation.scope(self.token):
                self.token.check()
                self.response = self.function(context)
                if inspect.isgenerator(getattr(self.response, "body", None)):
                    self.stream = Stream()
                    listener.answered()
                    self._send(self.response.body, self.stream, listener)
        except BaseException as error:
            self.error, self.traceback = error, traceback.format_exc()
            _forget_tracebacks(error)
        finally:
            if self.stream is not None:
                self.stream.chunks.put(None)
            listener.ended()

    def _send(self, body: Any, stream: Stream, listener: Any) -> None:
        with contextlib.closing(body):
            for chunk in body:
                while not stream.room.acquire(timeout=0.2):
                    self.token.check()
                self.token.check()
                stream.chunks.put(chunk.encode() if isinstance(chunk, str) else bytes(chunk))
                listener.chunk()


def _forget_tracebacks(error: BaseException) -> None:
    """Drop the tracebacks of an error and of its causes: they hold the frames of the call."""
    seen, left = set(), [error]
    while left:
        current = left.pop()
        if id(current) not in seen:
            seen.add(id(current))
            current.__traceback__ = None
            left += [cause for cause in (current.__cause__, current.__context__) if cause is not None]


class Handlers:
    """The threads that run handlers. The thread that ran an init() runs handlers too.

    Potassium up to 0.4 runs both on its main thread, 0.5 both on one thread of a pool: so settings that belong to a
    thread (torch.set_grad_enabled, an event loop) hold in the handlers. An app made with experimental_num_workers=n has
    n contexts, each from an init() of its own.

    Args:
        app: An adapter of `potassium_app`, with `contexts` and `init(number)`.
        count: Handlers that may run at once.
    """

    def __init__(self, app: Any, count: int) -> None:
        self._app, self.count = app, count
        self._calls: queue.SimpleQueue[HandlerCall | None] = queue.SimpleQueue()
        self._first: Any = None

    def start(self, *, on_this_thread: bool = False) -> None:
        """Run init(), then accept calls. Raises what init() raises.

        Args:
            on_this_thread: Run the first init() on this thread, which must call `work` next.
        """
        contexts = max(1, self._app.contexts)
        self.count = max(self.count, contexts)
        outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()
        ready: list[Any] = []
        if on_this_thread:
            self._first = self._app.init(0)
            ready.append(self._first)
        for number in range(len(ready), contexts):
            threading.Thread(target=self._start_one, args=(number, outcomes), name=_name(number), daemon=True).start()
        for _ in range(contexts - len(ready)):
            outcome: dict[str, Any] = outcomes.get()
            if "error" in outcome:
                raise outcome["error"]
            ready.append(outcome["context"])
        for number in range(contexts, self.count):
            context = ready[number % contexts]
            threading.Thread(target=self._work, args=(context,), name=_name(number), daemon=True).start()

    def work(self) -> None:
        """Run handlers on this thread until `stop`."""
        self._work(self._first)

    def submit(self, call: HandlerCall) -> None:
        """Queue a call for the threads."""
        self._calls.put(call)

    def stop(self) -> None:
        """End each thread after its current call."""
        for _ in range(self.count):
            self._calls.put(None)

    def _start_one(self, number: int, outcomes: queue.SimpleQueue[Any]) -> None:
        try:
            context = self._app.init(number)
        except BaseException as error:
            outcomes.put({"error": error})
            return
        outcomes.put({"context": context})
        self._work(context)

    def _work(self, context: Any) -> None:
        while True:
            call = self._calls.get()
            if call is None:
                return
            call.run(context)


def _name(number: int) -> str:
    return f"worker-{number}"
