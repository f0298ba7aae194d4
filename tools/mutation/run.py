"""Runs tests against mutants: one process collects them, a fork for each mutant runs those that can see it.

Nothing is started before the forks but imports: no thread, no server, no event loop. What a fork wrote is `found`.
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
HUNG = 20.0  # seconds of a test, and ten times those it takes without a mutant; what is not done by then is red
EXPLAINED = 5.0  # seconds of tests that are asked about a mutant that survived for a reason


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
    remembered: Mapping[str, str] = field(default_factory=dict[str, str])  # by which test a mutant was seen before
    explained: Collection[str] = ()  # mutants that are known to survive, and why
    keep: Callable[[Sequence[Outcome]], None] = lambda outcomes: None  # called now and then with what was found so far
    outcomes: list[Outcome] = field(default_factory=list)
    tests: dict[str, Test] = field(default_factory=dict)
    _near: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])  # seen at a site, by a test
    _doubted: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """First every test without a mutant, to know what it comes by and how long it takes; then the mutants."""
        self.tests = {item.nodeid: Test(item) for item in session.items}
        began = time.monotonic()
        self._first_round()
        broken = [name for name, value in self.tests.items() if not value.passed]
        self.say(f"{len(self.tests)} tests without a mutant in {time.monotonic() - began:.0f} s; not green: {broken}")
        self._put_in(self.mutants)
        if doubtful := self._doubtful():
            self.say(f"asked again: {len(doubtful)}")
            self.outcomes = [outcome for outcome in self.outcomes if outcome.mutant not in doubtful]
            self._put_in(doubtful)
        return True

    def _put_in(self, mutants: Sequence[Mutant]) -> None:
        began = time.monotonic()
        for number, (mutant, (found, seconds)) in enumerate(self._each(mutants, self._ask, LONGEST), 1):
            outcome = Outcome(mutant, found["test"], found["asked"], seconds)
            self.outcomes.append(outcome)
            if outcome.test in self.tests:
                self.tests[outcome.test].kills += 1
                self._near.update((site, outcome.test) for site in mutant.sites)
            if outcome.test is None:
                self.say(f"survived: {mutant}  ({outcome.asked} tests, {seconds:.1f} s)")
            if number % 100 == 0:
                dead = sum(item.test is not None for item in self.outcomes)
                self.say(f"{number} of {len(mutants)}: {dead} seen, {time.monotonic() - began:.0f} s")
                self.keep(self.outcomes)

    def _doubtful(self) -> list[Mutant]:
        """Mutants that were seen by a test that is red without them too, or green with them when it is run alone."""
        seeing = sorted({outcome.test for outcome in self.outcomes if outcome.test in self.tests})
        for name, (found, _) in self._each([[item] for item in seeing], self._green, LONGEST):
            if not found["green"]:
                self.tests[name[0]].passed = False
                self.say(f"red without a mutant: {name[0]}")
        first, others = self._late()
        odd = self._seen_in_company(first)
        self._seen_in_company([other for other in others if other.test in odd])
        return [
            outcome.mutant
            for outcome in self.outcomes
            if outcome.test in self.tests
            and (not self.tests[outcome.test].passed or (key(outcome.mutant), outcome.test) in self._doubted)
        ]

    def _late(self) -> tuple[list[Outcome], list[Outcome]]:
        """Mutants that were seen by a test after others: two of each test, and the rest."""
        picked, first, others = Counter[str](), list[Outcome](), list[Outcome]()
        for outcome in self.outcomes:
            if outcome.asked > 1 and outcome.test in self.tests:
                picked[outcome.test] += 1
                (first if picked[outcome.test] <= 2 else others).append(outcome)
        return first, others

    def _seen_in_company(self, late: Sequence[Outcome]) -> set[str]:
        """The tests that are green with the mutant when they are run alone."""
        odd: set[str] = set()
        for outcome, (found, _) in self._each(late, self._red_alone, LONGEST):
            if found["test"] is None:
                odd.add(outcome.test or "")
                self._doubted.add((key(outcome.mutant), outcome.test or ""))
                self.say(f"seen in company only: {outcome.mutant} by {outcome.test}")
        return odd

    def _green(self, names: Sequence[str]) -> Any:
        return {"green": all(passed for _, passed, _ in self._tested(names))}

    def _red_alone(self, outcome: Outcome) -> Any:
        outcome.mutant.apply()
        return self._first_red([outcome.test or ""])

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
        """In a fork: put the mutant in and run tests until one is red."""
        patience = EXPLAINED if key(mutant) in self.explained else self.patience
        seeing = list(self._in_time(self._seeing(mutant), patience))
        mutant.apply()
        return self._first_red(seeing)

    def _first_red(self, names: Sequence[str]) -> Any:
        """Run tests until one is red; one that hangs is."""
        asked = 0

        def timed(name: str) -> None:
            nonlocal asked
            asked += 1
            ends_after(HUNG + 10 * self.tests[name].seconds, {"test": name, "asked": asked})

        for name, passed, _ in self._tested(names, before=timed):
            if not passed:
                return {"test": name, "asked": asked}
        return {"test": None, "asked": asked}

    def _seeing(self, mutant: Mutant) -> list[str]:
        """The tests that come by the mutant: who saw it before, then those that are quick and saw much, best nearby.

        Of two alike the one is asked first that comes by fewer places: it looks at what there is more closely.
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
            listener.red, began = False, time.perf_counter()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            yield item.nodeid, not listener.red, time.perf_counter() - began

    def _each(
        self, jobs: Sequence[Any], work: Callable[[Any], Any], longest: float
    ) -> Iterator[tuple[Any, tuple[Any, float]]]:
        until = time.monotonic() + 60 * self.minutes
        for job, found, seconds in each_in_a_fork(jobs, work, self.workers, longest, until):
            if "died" in found:  # a mutant that its process died of was seen, but not one that could not be put in
                mutated, raised = isinstance(job, Mutant | Outcome), "Traceback" in found["died"]
                if not mutated:
                    raise RuntimeError(f"{job}: {found['died']}")
                if raised:
                    self.say(f"could not be put in: {job}: {found['died']}")
                found = {"test": None if raised else found["died"], "asked": 0}
            yield job, (found, seconds)


class _Listener:
    def __init__(self) -> None:
        self.red = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.red = self.red or report.failed


def score(outcomes: Sequence[Outcome]) -> dict[str, dict[str, tuple[int, int]]]:
    """For each provider and side how many were seen, of how many."""
    seen, all_ = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for outcome in outcomes:
        all_[outcome.mutant.provider, outcome.mutant.side] += 1
        seen[outcome.mutant.provider, outcome.mutant.side] += outcome.test is not None
    found: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for (provider, side), count in sorted(all_.items()):
        found[provider][side] = (seen[provider, side], count)
    return found
