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

__all__ = ["Errand", "Lane"]


class Lane:
    """A few daemon threads that start when there is work; they hold up no exit."""

    def __init__(self, name: str, width: int) -> None:
        self.name, self.width = name, width
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0

    def start(self, work: Callable[[], Any]) -> Future[Any]:
        """Have the work done; the future has its outcome."""
        future: Future[Any] = Future()
        with self._lock:
            self._waiting.put((future, work))
            if self._idle == 0 and self._threads < self.width:
                self._threads += 1
                threading.Thread(target=self._serve, name=self.name, daemon=True).start()
        return future

    def _serve(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            future, work = self._waiting.get()
            with self._lock:
                self._idle -= 1
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del future, work


@dataclass(frozen=True, slots=True)
class Errand:
    """`done` is given a future that is over: the outcome of `work`, or what it raised."""

    lane: Lane
    work: Callable[[], Any]
    done: Callable[[Future[Any]], None]
