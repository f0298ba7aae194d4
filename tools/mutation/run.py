"""Runs tests against mutants: one process collects the tests, and a fork for each mutant runs those that can detect it.

The collecting process starts no thread, no server and no event loop before it forks.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from . import answers, clients, code
from .forks import each_in_a_fork, ends_after
from .mutant import Mutant, key, reached

__all__ = ["Outcome", "Run"]

CHUNK = 60  # tests of one fork of the first round
LONGEST = 300.0  # seconds of one fork of the first round
HUNG = 20.0  # seconds of a test, added to ten times those it takes without a mutant, after which it counts as failed
EXPLAINED = 5.0  # most seconds of tests for a mutant that has a reason to survive


@dataclass
class Test:
    """One test and its result without a mutant."""

    item: pytest.Item
    seconds: float = 0.0
    passed: bool = False
    sites: frozenset[str] = frozenset()
    kills: int = 0


@dataclass
class Outcome:
    """The result for a mutant: the test that detected it, or None, and how many tests were run."""

    mutant: Mutant
    test: str | None
    tests_run: int
    seconds: float


@dataclass
class Run:
    """A pytest plugin that replaces the loop over the tests."""

    mutants: Sequence[Mutant]
    workers: int
    patience: float  # most seconds of tests for one mutant
    minutes: float  # after which no further mutant is tested
    log: Callable[[str], None]
    # The test that detected a mutant in an earlier run.
    remembered: Mapping[str, str] = field(default_factory=dict[str, str])
    explained: Collection[str] = ()  # mutants that have a reason to survive
    save: Callable[[Sequence[Outcome]], None] = lambda outcomes: None  # called after every hundred mutants
    outcomes: list[Outcome] = field(default_factory=list)
    tests: dict[str, Test] = field(default_factory=dict)
    # How many mutants of a site a test has detected.
    _near: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    _doubted: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Runs every test without a mutant, to learn its sites and its seconds, and then the mutants."""
        self.tests = {item.nodeid: Test(item) for item in session.items}
        start = time.monotonic()
        self._first_round()
        broken = [name for name, value in self.tests.items() if not value.passed]
        self.log(f"{len(self.tests)} tests without a mutant in {time.monotonic() - start:.0f} s; failed: {broken}")
        self._test_mutants(self.mutants)
        if doubtful := self._doubtful():
            self.log(f"tested again: {len(doubtful)}")
            self.outcomes = [outcome for outcome in self.outcomes if outcome.mutant not in doubtful]
            self._test_mutants(doubtful)
        return True

    def _test_mutants(self, mutants: Sequence[Mutant]) -> None:
        start = time.monotonic()
        for number, (mutant, (found, seconds)) in enumerate(self._run_in_forks(mutants, self._test_mutant, LONGEST), 1):
            outcome = Outcome(mutant, found["test"], found["tests_run"], seconds)
            self.outcomes.append(outcome)
            if outcome.test in self.tests:
                self.tests[outcome.test].kills += 1
                self._near.update((site, outcome.test) for site in mutant.sites)
            if outcome.test is None:
                self.log(f"survived: {mutant}  ({outcome.tests_run} tests, {seconds:.1f} s)")
            if number % 100 == 0:
                dead = sum(item.test is not None for item in self.outcomes)
                self.log(f"{number} of {len(mutants)}: {dead} detected, {time.monotonic() - start:.0f} s")
                self.save(self.outcomes)

    def _doubtful(self) -> list[Mutant]:
        """Returns mutants whose test fails without them too, or passes with them when it runs alone."""
        seeing = sorted({outcome.test for outcome in self.outcomes if outcome.test in self.tests})
        for name, (found, _) in self._run_in_forks([[item] for item in seeing], self._passes, LONGEST):
            if not found["passes"]:
                self.tests[name[0]].passed = False
                self.log(f"fails without a mutant: {name[0]}")
        first, others = self._late()
        odd = self._passing_alone(first)
        self._passing_alone([other for other in others if other.test in odd])
        return [
            outcome.mutant
            for outcome in self.outcomes
            if outcome.test in self.tests
            and (not self.tests[outcome.test].passed or (key(outcome.mutant), outcome.test) in self._doubted)
        ]

    def _late(self) -> tuple[list[Outcome], list[Outcome]]:
        """Returns the outcomes of tests that ran after others in their fork: two of each test, and the rest."""
        picked, first, others = Counter[str](), list[Outcome](), list[Outcome]()
        for outcome in self.outcomes:
            if outcome.tests_run > 1 and outcome.test in self.tests:
                picked[outcome.test] += 1
                (first if picked[outcome.test] <= 2 else others).append(outcome)
        return first, others

    def _passing_alone(self, late: Sequence[Outcome]) -> set[str]:
        """Returns the tests that pass with their mutant when they run alone."""
        odd: set[str] = set()
        for outcome, (found, _) in self._run_in_forks(late, self._fails_alone, LONGEST):
            if found["test"] is None:
                odd.add(outcome.test or "")
                self._doubted.add((key(outcome.mutant), outcome.test or ""))
                self.log(f"detected only after other tests: {outcome.mutant} by {outcome.test}")
        return odd

    def _passes(self, names: Sequence[str]) -> Any:
        return {"passes": all(passed for _, passed, _ in self._tested(names))}

    def _fails_alone(self, outcome: Outcome) -> Any:
        outcome.mutant.apply()
        return self._first_failure([outcome.test or ""])

    def _first_round(self) -> None:
        code.watch()
        answers.watch()
        clients.watch()
        names = list(self.tests)
        chunks = [names[i : i + CHUNK] for i in range(0, len(names), CHUNK)]
        for number, (_, (found, _)) in enumerate(self._run_in_forks(chunks, self._look, LONGEST), 1):
            if number % 10 == 0:
                self.log(f"{number} of {len(chunks)} groups of tests run without a mutant")
            for name, (passed, seconds, sites) in found.items():
                test = self.tests[name]
                test.passed, test.seconds, test.sites = passed, seconds, frozenset(sites)

    def _look(self, names: Sequence[str]) -> Any:
        """In a fork: runs these tests and records the sites they reach."""
        found: dict[str, Any] = {}
        for name, passed, seconds in self._tested(names):
            found[name] = (passed, seconds, sorted(reached))
            reached.clear()
        return found

    def _test_mutant(self, mutant: Mutant) -> Any:
        """In a fork: applies the mutant and runs tests until one fails."""
        patience = EXPLAINED if key(mutant) in self.explained else self.patience
        seeing = list(self._in_time(self._able(mutant), patience))
        mutant.apply()
        return self._first_failure(seeing)

    def _first_failure(self, names: Sequence[str]) -> Any:
        """Runs tests until one fails. A test that hangs fails."""
        tests_run = 0

        def timed(name: str) -> None:
            nonlocal tests_run
            tests_run += 1
            ends_after(HUNG + 10 * self.tests[name].seconds, {"test": name, "tests_run": tests_run})

        for name, passed, _ in self._tested(names, before=timed):
            if not passed:
                return {"test": name, "tests_run": tests_run}
        return {"test": None, "tests_run": tests_run}

    def _able(self, mutant: Mutant) -> list[str]:
        """Returns the tests that reach the mutant, the most promising first.

        First comes the test that detected it before, then quick tests that detected many mutants, at this site above
        all, and tests that reach few sites.
        """

        def rank(name: str) -> tuple[bool, float, str]:
            test, near = self.tests[name], sum(self._near[site, name] for site in mutant.sites)
            costs = (test.seconds + 0.01) * (1 + len(test.sites) / 50)
            return name != known, costs / (1 + test.kills + 20 * near), name

        known = self.remembered.get(key(mutant))
        able = (name for name, value in self.tests.items() if value.passed and value.sites & mutant.sites)
        return sorted((name for name in able if (key(mutant), name) not in self._doubted), key=rank)

    def _in_time(self, names: Sequence[str], patience: float) -> Iterator[str]:
        spent = 0.0
        for name in names:
            yield name
            spent += self.tests[name].seconds
            if spent > patience:
                return

    def _tested(
        self, names: Sequence[str], before: Callable[[str], None] = lambda name: None
    ) -> Iterator[tuple[str, bool, float]]:
        listener = _Listener()
        items = [self.tests[name].item for name in names]
        if not items:
            return
        items[0].config.pluginmanager.register(listener)
        for item, following in zip(items, [*items[1:], None], strict=True):
            before(item.nodeid)
            listener.failed, start = False, time.perf_counter()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            yield item.nodeid, not listener.failed, time.perf_counter() - start

    def _run_in_forks(
        self, jobs: Sequence[Any], work: Callable[[Any], Any], longest: float
    ) -> Iterator[tuple[Any, tuple[Any, float]]]:
        until = time.monotonic() + 60 * self.minutes
        for job, found, seconds in each_in_a_fork(jobs, work, self.workers, longest, until):
            if "died" in found:  # a mutant that kills its process is detected, one that cannot be applied is not
                mutated, raised = isinstance(job, Mutant | Outcome), "Traceback" in found["died"]
                if not mutated:
                    raise RuntimeError(f"{job}: {found['died']}")
                if raised:
                    self.log(f"could not be applied: {job}: {found['died']}")
                found = {"test": None if raised else found["died"], "tests_run": 0}
            yield job, (found, seconds)


class _Listener:
    def __init__(self) -> None:
        self.failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed


def score(outcomes: Sequence[Outcome]) -> dict[str, dict[str, tuple[int, int]]]:
    """Returns, for each provider and side, how many mutants were detected and how many there are."""
    detected, all_ = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for outcome in outcomes:
        all_[outcome.mutant.provider, outcome.mutant.side] += 1
        detected[outcome.mutant.provider, outcome.mutant.side] += outcome.test is not None
    found: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for (provider, side), count in sorted(all_.items()):
        found[provider][side] = (detected[provider, side], count)
    return found
