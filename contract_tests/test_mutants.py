"""A seeded sample of the mutants; `make mutants` is all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from contracts import FILES, contract
from mutation import answers, clients, code, rules
from mutation.report import REASONS, key, report
from mutation.run import Outcome, Run
from mutation.shapes import named_operations

HERE = Path(__file__).parent


def test_every_operation_has_mutants_of_its_own_and_no_two_are_alike() -> None:
    """Of the mock, and of the client where there is one."""
    mocked = {(each.provider, each.operation) for each in answers.mutants()}
    called = {(each.provider, each.operation) for each in clients.mutants()}
    named = {(name, each.spec["operationId"]) for name in FILES for each in named_operations(contract(name))}
    assert mocked == named
    assert {each for each in called if each not in named} == set()
    assert {name for name, _ in called} == set(clients.PROVIDERS)
    every = [str(each) for each in (*answers.mutants(), *rules.mutants(), *clients.mutants())]
    assert len(every) == len(set(every))


def test_a_reason_is_given_for_a_mutant_that_is_there() -> None:
    every = {key(each) for each in (*answers.mutants(), *rules.mutants(), *clients.mutants(), *code.mutants())}
    assert set(yaml.safe_load(REASONS.read_text(encoding="utf-8")) or {}) <= every


@pytest.mark.slow
def test_a_sample_of_mutants_is_seen(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "mutants.py"), "--sample", "60", "--out", str(tmp_path / "score.json")]

    subprocess.run(command, check=False, capture_output=True, timeout=1200)

    assert json.loads((tmp_path / "score.json").read_text())["per cent"] >= 90


def test_what_was_seen_before_stays_seen_when_survivors_are_asked_again(tmp_path: Path) -> None:
    first, second, third = list(rules.mutants())[:3]
    run = Run([second, third], 1, 1.0, 1.0, say=lambda text: None)
    run.outcomes = [Outcome(second, "test_one", 1, 0.1), Outcome(third, None, 5, 0.1)]
    before = {"providers": {first.provider: {"mock": {"seen": 8, "of": 10}}}, "survivors": {}}

    status = report(run, tmp_path / "score.json", before)

    found = json.loads((tmp_path / "score.json").read_text())
    assert (found["seen"], found["mutants"], found["per cent"]) == (9, 10, 90.0)
    assert found["providers"] == {first.provider: {"mock": {"seen": 9, "of": 10}}}
    assert found["survivors"] == {key(third): None}
    assert status == 1
