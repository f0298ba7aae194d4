"""Runs tests against mutants: one process collects them, a fork for each mutant runs those that can see it.

Nothing is started before the forks but imports: no thread, no server, no event loop.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from . import answers, clients, code
from .mutant import Mutant, reached

__all__ = ["Outcome", "Run"]

CHUNK = 60  # tests of one fork of the first round
LONGEST = 300.0  # seconds of one fork of the first round
HUNG = 20.0  # seconds of a mutant's fork, and thrice the seconds of its tests; who is not done by then is red
Job = Callable[[], Any]


@dataclass
class Test:
    """One test as it did without a mutant."""

    item: pytest.Item
    seconds: float = 0.0
    passed: bool = False
    sites: frozenset[str] = frozenset()
    kills: int = 0


@dataclass
class Outcome:
    """What became of a mutant: the test that saw it, or none; how many were asked."""

    mutant: Mutant
    test: str | None
    asked: int
    seconds: float


@dataclass
class Run:
    """A pytest plugin in place of its loop."""

    mutants: Sequence[Mutant]
    workers: int
    patience: float  # seconds of tests that are asked about a mutant
    minutes: float  # after which no more mutants are begun
    say: Callable[[str], None]
    outcomes: list[Outcome] = field(default_factory=list)
    tests: dict[str, Test] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """First every test without a mutant, to know what it comes by and how long it takes; then the mutants."""
        self.tests = {each.nodeid: Test(each) for each in session.items}
        began = time.monotonic()
        self._first_round()
        broken = [name for name, each in self.tests.items() if not each.passed]
        self.say(f"{len(self.tests)} tests without a mutant in {time.monotonic() - began:.0f} s; not green: {broken}")
        for mutant, (found, seconds) in self._each(self.mutants, self._ask, HUNG + 3 * self.patience):
            outcome = Outcome(mutant, found["test"], found["asked"], seconds)
            self.outcomes.append(outcome)
            if outcome.test in self.tests:
                self.tests[outcome.test].kills += 1
            if outcome.test is None:
                self.say(f"survived: {mutant}  ({outcome.asked} tests, {seconds:.1f} s)")
            if len(self.outcomes) % 100 == 0:
                dead = sum(each.test is not None for each in self.outcomes)
                self.say(f"{len(self.outcomes)} of {len(self.mutants)}: {dead} seen, {time.monotonic() - began:.0f} s")
        return True

    def _first_round(self) -> None:
        code.watch()
        answers.watch()
        clients.watch()
        names = list(self.tests)
        chunks = [names[i : i + CHUNK] for i in range(0, len(names), CHUNK)]
        for _, (found, _) in self._each(chunks, self._look, LONGEST):
            for name, (passed, seconds, sites) in found.items():
                test = self.tests[name]
                test.passed, test.seconds, test.sites = passed, seconds, frozenset(sites)

    def _look(self, names: Sequence[str]) -> Any:
        """In a fork: run these tests and note what they come by."""
        found: dict[str, Any] = {}
        for name, passed, seconds in self._tested(names):
            found[name] = (passed, seconds, sorted(reached))
            reached.clear()
        return found

    def _ask(self, mutant: Mutant) -> Any:
        """In a fork: put the mutant in and run tests until one is red. Those that saw most so far are asked first."""
        seeing = [name for name, each in self.tests.items() if each.passed and each.sites & mutant.sites]
        seeing.sort(key=lambda name: (self.tests[name].seconds / (1 + self.tests[name].kills), name))
        seeing = list(self._in_time(seeing))
        mutant.apply()
        for asked, (name, passed, _) in enumerate(self._tested(seeing), 1):
            if not passed:
                return {"test": name, "asked": asked}
        return {"test": None, "asked": len(seeing)}

    def _in_time(self, names: Sequence[str]) -> Iterator[str]:
        spent = 0.0
        for name in names:
            yield name
            spent += self.tests[name].seconds
            if spent > self.patience:
                return

    def _tested(self, names: Sequence[str]) -> Iterator[tuple[str, bool, float]]:
        listener = _Listener()
        items = [self.tests[name].item for name in names]
        if not items:
            return
        items[0].config.pluginmanager.register(listener)
        for item, following in zip(items, [*items[1:], None], strict=True):
            listener.red, began = False, time.perf_counter()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            yield item.nodeid, not listener.red, time.perf_counter() - began

    def _each(
        self, jobs: Sequence[Any], work: Callable[[Any], Any], longest: float
    ) -> Iterator[tuple[Any, tuple[Any, float]]]:
        """Every job with what its fork found and its seconds, as they end; none has more than the longest."""
        left, running = list(reversed(jobs)), dict[int, tuple[Any, Path, float]]()
        until = time.monotonic() + 60 * self.minutes
        while left or running:
            if time.monotonic() > until:
                left.clear()
            while left and len(running) < self.workers:
                job = left.pop()
                folder = Path(tempfile.mkdtemp(prefix="mutant-"))
                running[_fork(work, job, folder)] = (job, folder, time.monotonic())
            pid, _ = os.waitpid(-1, os.WNOHANG)
            now = time.monotonic()
            for late in [each for each, (_, _, began) in running.items() if now - began > longest]:
                with contextlib.suppress(ProcessLookupError):  # it has ended in this very moment
                    os.killpg(late, signal.SIGKILL)
            if pid == 0:
                time.sleep(0.005)
            elif pid in running:
                job, folder, began = running.pop(pid)
                found = self._found(job, folder)
                shutil.rmtree(folder, ignore_errors=True)
                yield job, (found, now - began)

    def _found(self, job: Any, folder: Path) -> Any:
        """What a fork wrote down; a mutant that its process died of, or hung on, was seen."""
        if (result := folder / "found.json").exists():
            return json.loads(result.read_text())
        died = folder / "died.txt"
        told = died.read_text() if died.exists() else "killed, or hung"
        if not isinstance(job, Mutant):
            raise RuntimeError(f"{job}: {told}")
        if died.exists():
            self.say(f"could not be put in: {job}: {told}")
            return {"test": None, "asked": 0}
        return {"test": told, "asked": 0}


class _Listener:
    def __init__(self) -> None:
        self.red = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.red = self.red or report.failed


def _fork(work: Callable[[Any], Any], job: Any, folder: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for each in (0, 1, 2):
            os.dup2(nowhere, each)
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)
        found = work(job)
        (folder / "part.json").write_text(json.dumps(found))
        (folder / "part.json").rename(folder / "found.json")
    except BaseException:
        (folder / "died.txt").write_text(traceback.format_exc())
    finally:
        os._exit(0)


def score(outcomes: Sequence[Outcome]) -> dict[str, dict[str, tuple[int, int]]]:
    """For each provider and side how many were seen, of how many."""
    seen, all_ = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for each in outcomes:
        all_[each.mutant.provider, each.mutant.side] += 1
        seen[each.mutant.provider, each.mutant.side] += each.test is not None
    found: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for (provider, side), count in sorted(all_.items()):
        found[provider][side] = (seen[provider, side], count)
    return found
