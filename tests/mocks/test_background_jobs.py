"""Background jobs: in order while a clock is advanced, in threads while it runs by itself."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from bananastand_mocks.kernel.background import BackgroundJob, WorkerThreads
from bananastand_mocks.kernel.clock import EPOCH, Clock
from bananastand_mocks.kernel.worlds import Worlds
from tinymock import Zoo

THREADS = WorkerThreads("test", 2)


class Bell:
    """Rings are background jobs; three follow one another with waits of 5, 15 and 60 seconds."""

    def __init__(self, *, virtual: bool = True, hold: threading.Event | None = None) -> None:
        self.clock = Clock(self.deliver, virtual=virtual)
        self.rings: list[tuple[int, float, int]] = []
        self.hold = hold

    def deliver(self, event: str, details: dict[str, Any]) -> BackgroundJob:
        def work() -> int:
            if self.hold is not None:
                assert self.hold.wait(10)
            return threading.get_ident()

        def done(outcome: Future[int]) -> None:
            number = details["number"]
            self.rings.append((number, self.clock.now(), outcome.result()))
            if number < 3:
                self.clock.after([5, 15, 60][number], "ring", number=number + 1)

        return BackgroundJob(THREADS, work, done)


def test_advancing_a_clock_runs_jobs_at_their_time_in_its_own_thread() -> None:
    bell = Bell()
    bell.clock.after(0, "ring", number=0)

    assert bell.clock.advance(79) == 3
    assert bell.clock.advance(1) == 1
    here = threading.get_ident()
    assert bell.rings == [(0, EPOCH, here), (1, EPOCH + 5, here), (2, EPOCH + 20, here), (3, EPOCH + 80, here)]


def test_a_job_that_is_due_at_a_call_runs_in_a_thread_and_ends_later() -> None:
    bell = Bell(hold=threading.Event())
    bell.clock.after(0, "ring", number=3)

    assert bell.clock.run_due() == 1
    assert bell.rings == []
    assert [item["event"] for item in bell.clock.pending] == ["ring"]
    assert bell.hold is not None
    bell.hold.set()
    asyncio.run(bell.clock.settle("ring", number=3))

    assert bell.rings[0][:2] == (3, EPOCH)
    assert bell.rings[0][2] != threading.get_ident()
    assert bell.clock.pending == []
    assert bell.clock.run_due() == 0


def test_advancing_a_clock_waits_for_running_jobs() -> None:
    bell = Bell(hold=threading.Event())
    bell.clock.after(0, "ring", number=0)
    bell.clock.run_due()
    assert bell.hold is not None
    threading.Timer(0.05, bell.hold.set).start()

    bell.clock.advance(80)

    assert [at - EPOCH for _, at, _ in bell.rings] == [0, 5, 20, 80]


def test_a_running_job_starts_again_in_a_loaded_clock() -> None:
    bell = Bell(hold=threading.Event())
    bell.clock.after(0, "ring", number=3)
    bell.clock.run_due()

    again = Bell()
    again.clock.load(bell.clock.dump())
    again.clock.advance(0)

    assert [number for number, _, _ in again.rings] == [3]
    assert bell.hold is not None
    bell.hold.set()


def test_a_job_that_raises_hands_its_exception_over() -> None:
    seen: list[BaseException | None] = []

    def work() -> None:
        raise ValueError("no")

    clock = Clock(
        lambda event, details: BackgroundJob(THREADS, work, lambda end: seen.append(end.exception())), virtual=True
    )
    clock.after(0, "a")
    clock.after(1, "b")
    clock.run_due()
    clock.advance(1)

    assert [str(item) for item in seen] == ["no", "no"]


def test_no_more_threads_run_than_the_width() -> None:
    gate, threads = threading.Event(), WorkerThreads("narrow", 2)
    running: list[int] = []

    def work() -> None:
        running.append(1)
        assert gate.wait(10)

    futures = [threads.start(work) for _ in range(5)]
    time.sleep(0.1)
    assert len(running) == 2
    gate.set()
    assert [item.result(10) for item in futures] == [None] * 5
    assert len(running) == 5


def test_bursts_use_the_full_width_and_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bananastand_mocks.kernel.background.IDLE_SECONDS", 0.05)
    threads = WorkerThreads("burst", 3)
    assert threads.start(lambda: 1).result(10) == 1
    gate, together = threading.Event(), threading.Barrier(3)
    for _ in range(3):  # at once, while one thread is idle
        threads.start(lambda: (together.wait(10), gate.wait(10)))
    last = threads.start(lambda: 2)
    gate.set()
    assert last.result(10) == 2
    until = time.monotonic() + 10
    while any(item.name == "burst" for item in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert threads.start(lambda: 3).result(10) == 3


def test_worlds_in_real_time_run_due_events_without_a_call_and_are_saved() -> None:
    worlds = Worlds([Zoo()], seed=1, virtual=False)
    still = worlds.create(virtual=True)
    saved: list[str] = []
    worlds.keep = lambda world: saved.append(world.name)
    for world in (worlds.default, still):
        world.table("zoo.animals")["a"] = {}
        world.clock.after(0, "zoo.grow", id="a")

    worlds.turn()
    worlds.turn()

    assert saved == ["default"]
    assert "grown" in worlds.default.table("zoo.animals")["a"]
    assert "grown" not in still.table("zoo.animals")["a"]
