"""An event loop with virtual time: it never waits, and what is ready runs in an order that a seed decides."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

__all__ = ["Idle", "PowerCut", "SimulatedLoop"]


class PowerCut(KeyboardInterrupt):
    """The process is killed here: it goes through the loop, which hands every other exception to its task."""


class Idle(Exception):
    """Nothing is scheduled: without news from outside nothing will ever happen."""


class _VirtualSelector(selectors.BaseSelector):
    """Reports no event, and lets time pass instead of waiting."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Idle
        self.now += max(0.0, timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class SimulatedLoop(asyncio.SelectorEventLoop):
    """One life of the platform's process.

    Args:
        chance: Decides the order of what is ready.
        now: The virtual moment at which it begins.
        after_step: Called after each round of callbacks.
    """

    def __init__(self, chance: random.Random, now: float, after_step: Callable[[], None]) -> None:
        self._virtual = _VirtualSelector()
        self._virtual.now = now
        self._chance, self._after_step = chance, after_step
        super().__init__(self._virtual)
        self._clock_resolution = 1e-9  # of virtual time: a timer runs at its moment, not a tick before it

    def time(self) -> float:
        """The virtual moment."""
        return self._virtual.now

    def _make_self_pipe(self) -> None:
        """There is no other thread to be woken by."""

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _run_once(self) -> None:
        self._chance.shuffle(self._ready)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]
        self._after_step()

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Run it at once; its result comes later. Files are on a disk that takes its time."""
        future: asyncio.Future[Any] = self.create_future()
        try:
            result, error = func(*args), None
        except Exception as raised:
            result, error = None, raised

        def resolve() -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.call_later(self._chance.expovariate(500.0), resolve)
        return future

    @property
    def timers(self) -> list[str]:
        """The timers that are set, in words."""
        handles = [handle for handle in self._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        return [f"{handle!r} in {handle.when() - self.time():.1f} s" for handle in handles]
