"""Blocking work that an event starts, such as drawing or posting: done off the event loop, its outcome taken on a turn.

Knows threads, no world. An errand's `work` sees no world; its `done` does, and runs on whichever turn comes first.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

__all__ = ["BackgroundJob", "WorkerThreads"]


_Work = tuple[Future[Any], Callable[[], Any]]

IDLE = 10.0  # seconds after which a thread without work ends


class WorkerThreads:
    """A few daemon threads that start when there is work and end some time after; they hold up no exit."""

    def __init__(self, name: str, width: int) -> None:
        self.name, self.width = name, width
        self._waiting: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0  # threads that wait, less the work that is there for them
        self._left = 0  # work for which no thread was free

    def start(self, work: Callable[[], Any]) -> Future[Any]:
        """Have the work done; the future has its outcome."""
        future: Future[Any] = Future()
        with self._lock:
            self._waiting.put((future, work))
            if self._idle:
                self._idle -= 1
            elif self._threads < self.width:
                self._threads += 1
                threading.Thread(target=self._serve, name=self.name, daemon=True).start()
            else:
                self._left += 1
        return future

    def _serve(self) -> None:
        found: _Work | None = self._waiting.get()
        while found is not None:
            future, work = found
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del found, future, work
            found = self._next()

    def _next(self) -> _Work | None:
        """What is to be done; None where nothing came for a while, and the thread is to end."""
        with self._lock:
            if self._left:
                self._left -= 1
            else:
                self._idle += 1
        while True:
            try:
                return self._waiting.get(timeout=IDLE)
            except queue.Empty:
                with self._lock:
                    if self._idle:
                        self._idle -= 1
                        self._threads -= 1
                        return None


@dataclass(frozen=True, slots=True)
class BackgroundJob:
    """`done` is given a future that is over: the outcome of `work`, or what it raised."""

    lane: WorkerThreads
    work: Callable[[], Any]
    done: Callable[[Future[Any]], None]
