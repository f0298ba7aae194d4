"""Blocking work that an event starts, such as drawing or posting: done in threads, off the event loop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

__all__ = ["BackgroundJob", "WorkerThreads"]

Item = tuple[Future[Any], Callable[[], Any]]

IDLE_SECONDS = 10.0  # after which a thread without work ends


class WorkerThreads:
    """A few daemon threads, which start when there is work and never hold up the exit of the process.

    Args:
        name: The threads' name.
        width: How many of them may run at once.
    """

    def __init__(self, name: str, width: int) -> None:
        self.name, self.width = name, width
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0  # threads that wait, less the items that are queued for them
        self._unclaimed = 0  # items for which no thread was free

    def start(self, work: Callable[[], Any]) -> Future[Any]:
        """Queue the work; the future gets its result or its exception."""
        future: Future[Any] = Future()
        with self._lock:
            self._queue.put((future, work))
            if self._idle:
                self._idle -= 1
            elif self._threads < self.width:
                self._threads += 1
                threading.Thread(target=self._run, name=self.name, daemon=True).start()
            else:
                self._unclaimed += 1
        return future

    def _run(self) -> None:
        item: Item | None = self._queue.get()
        while item is not None:
            future, work = item
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del item, future, work
            item = self._next()

    def _next(self) -> Item | None:
        """Return the next item; None where nothing came for a while, and the thread is to end."""
        with self._lock:
            if self._unclaimed:
                self._unclaimed -= 1
            else:
                self._idle += 1
        while True:
            try:
                return self._queue.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._idle:
                        self._idle -= 1
                        self._threads -= 1
                        return None


@dataclass(frozen=True, slots=True)
class BackgroundJob:
    """Work for threads, and what follows from it on the clock's own thread.

    Attributes:
        threads: Where the work is done.
        work: The work; it must not touch the world.
        done: Takes the finished future, with the result of the work or its exception; it may change the world.
    """

    threads: WorkerThreads
    work: Callable[[], Any]
    done: Callable[[Future[Any]], None]
