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

__all__ = ["Call", "Handlers", "Listener", "Stream"]

AHEAD = 16  # chunks of a stream that may wait for a slow client


class Listener:
    """Follows a call. Its methods are called on the handler's thread."""

    def began(self) -> None:
        """The handler starts."""

    def answered(self) -> None:
        """`call.response` is there; its body still streams."""

    def chunk(self) -> None:
        """`call.stream.chunks` holds one more."""

    def ended(self) -> None:
        """The handler is done, and so is its stream."""


class Stream:
    """Chunks on their way to the client, AHEAD of it at most; None after the last."""

    def __init__(self) -> None:
        self.chunks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.room = threading.Semaphore(AHEAD)


class Call:
    """One request on its way through a handler.

    Args:
        function: Called with the context; returns the response, whose attribute `body` may be a generator of chunks.
        token: See `cancellation`.
        listener: Follows the call. It is released at the end, as the error's traceback is: both would keep each other,
            and the answer, until the collector came.
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
        """Run the handler, then what it streams, unless the caller has gone meanwhile."""
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
    """Its own, and those of what it came from: they hold the frames of the call."""
    seen, left = set(), [error]
    while left:
        each = left.pop()
        if id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            left += [other for other in (each.__cause__, each.__context__) if other is not None]


class Handlers:
    """`count` threads over an app's contexts. The thread that ran an init() runs handlers too.

    Potassium up to 0.4 runs both on its main thread, 0.5 both on one thread of a pool: so settings that belong to a
    thread (torch.set_grad_enabled, an event loop) hold in the handlers. An app made with experimental_num_workers=n has
    n contexts, each from an init() of its own.

    Args:
        app: An adapter of `potassium_app`, with `contexts` and `init(number)`.
        count: Handlers that may run at once.
    """

    def __init__(self, app: Any, count: int) -> None:
        self._app, self.count = app, count
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._first: Any = None

    def start(self, *, on_this_thread: bool = False) -> None:
        """Run init(); handlers may run when it returns. Raises what init() raised.

        on_this_thread: the first init() runs here, and this thread must call `work` next.
        """
        contexts = max(1, self._app.contexts)
        self.count = max(self.count, contexts)
        made: queue.SimpleQueue[Any] = queue.SimpleQueue()
        ready: list[Any] = []
        if on_this_thread:
            self._first = self._app.init(0)
            ready.append(self._first)
        for number in range(len(ready), contexts):
            threading.Thread(target=self._start_one, args=(number, made), name=_name(number), daemon=True).start()
        for _ in range(contexts - len(ready)):
            outcome: dict[str, Any] = made.get()
            if "error" in outcome:
                raise outcome["error"]
            ready.append(outcome["context"])
        for number in range(contexts, self.count):
            context = ready[number % contexts]
            threading.Thread(target=self._work, args=(context,), name=_name(number), daemon=True).start()

    def work(self) -> None:
        """Run handlers on this thread until `stop`."""
        self._work(self._first)

    def submit(self, call: Call) -> None:
        """Have a thread run the call, after those that came before."""
        self._calls.put(call)

    def stop(self) -> None:
        """Let each thread end after the call it has."""
        for _ in range(self.count):
            self._calls.put(None)

    def _start_one(self, number: int, made: queue.SimpleQueue[Any]) -> None:
        try:
            context = self._app.init(number)
        except BaseException as error:
            made.put({"error": error})
            return
        made.put({"context": context})
        self._work(context)

    def _work(self, context: Any) -> None:
        while True:
            call = self._calls.get()
            if call is None:
                return
            call.run(context)


def _name(number: int) -> str:
    return f"worker-{number}"
