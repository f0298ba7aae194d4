"""The threads that run an app's init() and its handlers."""

from __future__ import annotations

import inspect
import queue
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Protocol

from .. import cancel

__all__ = ["Call", "Listener", "Stream", "Workers"]

AHEAD = 16  # chunks of a stream that may wait for a slow client


class Listener(Protocol):
    """Who follows a call."""

    def began(self) -> None: ...
    def answered(self) -> None:
        """`call.response` is there, its body still streams."""
        ...

    def chunk(self) -> None:
        """`call.stream.chunks` holds one more."""
        ...

    def ended(self) -> None: ...


class Stream:
    """Chunks on their way to the client, AHEAD of it at most; None after the last."""

    def __init__(self) -> None:
        self.chunks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.room = threading.Semaphore(AHEAD)


class Call:
    """One request on its way through a handler. Made by the event loop, run by a worker thread.

    The listener's began(), answered(), chunk() and ended() are called on the worker's thread; then it is let go, as the
    error's traceback is: what holds itself together waits for the collector, with a picture in it.
    """

    def __init__(
        self, function: Callable[[Any, Any], Any], request: Any, token: cancel.Token, listener: Listener
    ) -> None:
        self.function, self.request, self.token = function, request, token
        self._listener: Listener | None = listener
        self.arrived = time.perf_counter()
        self.response: Any = None
        self.error: BaseException | None = None
        self.traceback = ""
        self.stream: Stream | None = None

    def run(self, context: dict[str, Any]) -> None:
        """Run the handler, then what it streams, unless the caller has gone meanwhile."""
        listener, self._listener = self._listener, None
        assert listener is not None, "a call runs once"
        listener.began()
        try:
            with cancel.scope(self.token):
                self.token.check()
                self.response = self.function(context, self.request)
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

    def _send(self, body: Any, stream: Stream, listener: Listener) -> None:
        try:
            for chunk in body:
                while not stream.room.acquire(timeout=0.2):
                    self.token.check()
                self.token.check()
                stream.chunks.put(chunk.encode() if isinstance(chunk, str) else bytes(chunk))
                listener.chunk()
        finally:
            body.close()


def _forget_tracebacks(error: BaseException) -> None:
    """Its own, and those of what it came from: they hold the frames of the call."""
    seen, left = set[int](), [error]
    while left:
        each = left.pop()
        if id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            left += [other for other in (each.__cause__, each.__context__) if other is not None]


class Workers:
    """`count` threads over one context, as Potassium's single thread: the one that ran init() runs handlers too.

    An app made with experimental_num_workers=n has n contexts, each from an init() of its own.
    """

    def __init__(self, app: Any, count: int) -> None:
        self._app, self.count = app, count
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()

    def start(self) -> None:
        """Run init() and return when handlers may run. Raises what init() raised."""
        contexts = max(1, getattr(self._app, "_num_workers", 1))
        self.count = max(self.count, contexts)
        made: queue.SimpleQueue[dict[str, Any] | BaseException] = queue.SimpleQueue()
        ready = list[dict[str, Any]]()
        for number in range(contexts):
            threading.Thread(target=self._first, args=(number, made), name=f"worker-{number}", daemon=True).start()
        for _ in range(contexts):
            context = made.get()
            if isinstance(context, BaseException):
                raise context
            ready.append(context)
        for number in range(contexts, self.count):
            context = ready[number % contexts]
            threading.Thread(target=self._work, args=(context,), name=f"worker-{number}", daemon=True).start()

    def submit(self, call: Call) -> None:
        self._calls.put(call)

    def stop(self) -> None:
        """Let each thread end after the call it has."""
        for _ in range(self.count):
            self._calls.put(None)

    def _first(self, number: int, made: queue.SimpleQueue[dict[str, Any] | BaseException]) -> None:
        try:
            context = self._init(number)
        except BaseException as error:
            made.put(error)
            return
        made.put(context)
        self._work(context)

    def _init(self, number: int) -> dict[str, Any]:
        init = self._app._init_func
        context = init() if not inspect.signature(init).parameters else init(number)
        if not isinstance(context, dict):
            raise TypeError(f"init() must return a dictionary, not {type(context).__name__}")
        return context

    def _work(self, context: dict[str, Any]) -> None:
        while (call := self._calls.get()) is not None:
            call.run(context)
