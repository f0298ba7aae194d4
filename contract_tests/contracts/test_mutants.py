"""Mutation testing: its mutants, its score, and a seeded sample. `make mutants` runs all mutants."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from contracts import FILES, contract, named_operations
from tools.mutation import answers, clients, code, memory, rules
from tools.mutation.mutant import key
from tools.mutation.report import reasons, report
from tools.mutation.run import Outcome, Run

ROOT = Path(__file__).resolve().parents[2]


def test_every_operation_has_mutants_of_its_own_and_no_two_are_alike() -> None:
    """Of the mock, and of the client where there is one."""
    mocked = {(mutant.provider, mutant.operation) for mutant in answers.mutants()}
    called = {(mutant.provider, mutant.operation) for mutant in clients.mutants()}
    named = {(name, operation.spec["operationId"]) for name in FILES for operation in named_operations(contract(name))}
    assert mocked == named
    assert {item for item in called if item not in named} == set()
    assert {name for name, _ in called} == set(clients.PROVIDERS)
    every = [str(mutant) for mutant in (*answers.mutants(), *rules.mutants(), *clients.mutants())]
    assert len(every) == len(set(every))


def test_every_reason_belongs_to_a_mutant() -> None:
    every = [key(mutant) for mutant in (*answers.mutants(), *rules.mutants(), *clients.mutants(), *code.mutants())]
    assert set(reasons()) <= set(every)
    assert len(every) == len(set(every))


@pytest.mark.slow
def test_a_sample_of_mutants_is_detected(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.mutation", "--sample", "60", "--out", str(tmp_path / "score.json")]

    subprocess.run(command, cwd=ROOT, check=False, capture_output=True, timeout=1200)

    assert json.loads((tmp_path / "score.json").read_text())["per cent"] >= 90


def test_detected_mutants_stay_detected_when_survivors_are_tested_again(tmp_path: Path) -> None:
    first, second, third = list(rules.mutants())[:3]
    run = Run([second, third], 1, 1.0, 1.0, log=lambda text: None)
    run.outcomes = [Outcome(second, "test_one", 1, 0.1), Outcome(third, None, 5, 0.1)]
    before = {"providers": {first.provider: {"mock": {"detected": 8, "of": 10}}}, "survivors": {}}

    status = report(run, tmp_path / "score.json", before, again=True)

    found = json.loads((tmp_path / "score.json").read_text())
    assert (found["detected"], found["mutants"], found["per cent"]) == (9, 10, 90.0)
    assert found["providers"] == {first.provider: {"mock": {"detected": 9, "of": 10, "per cent": 90.0}}}
    assert found["survivors"] == {key(third): None}
    assert status == 1


def test_a_run_of_one_provider_leaves_the_others_in_the_score(tmp_path: Path) -> None:
    mutant = next(rules.mutants())
    run = Run([mutant], 1, 1.0, 1.0, log=lambda text: None)
    run.outcomes = [Outcome(mutant, "test_one", 1, 0.1)]
    assert mutant.provider == "bananadev"
    before = {
        "providers": {"bananadev": {"mock": {"detected": 8, "of": 10}}, "falai": {"client": {"detected": 3, "of": 4}}},
        "survivors": {"bananadev mock run: status": None, "falai client batch: key is another": "a reason"},
    }

    status = report(run, tmp_path / "score.json", before)

    found = json.loads((tmp_path / "score.json").read_text())
    assert found["providers"] == {
        "bananadev": {"mock": {"detected": 1, "of": 1, "per cent": 100.0}},
        "falai": {"client": {"detected": 3, "of": 4, "per cent": 75.0}},
    }
    assert found["survivors"] == {"falai client batch: key is another": "a reason"}
    assert status == 0


def test_an_untested_mutant_leaves_a_run_unfinished() -> None:
    one, other = list(rules.mutants())[:2]
    run = Run([one, other], 1, 1.0, 1.0, log=lambda text: None)
    run.outcomes = [Outcome(one, "test_one", 1, 0.1)]

    assert report(run, None) == 1


def test_the_test_that_detected_a_mutant_is_remembered(tmp_path: Path) -> None:
    one, other = list(rules.mutants())[:2]

    memory.save([Outcome(one, "test_one", 3, 0.1), Outcome(other, None, 5, 0.1)], tmp_path / "out" / "seen.json")
    memory.save([Outcome(other, "test_two", 1, 0.1)], tmp_path / "out" / "seen.json")

    assert memory.load(tmp_path / "out" / "seen.json") == {key(one): "test_one", key(other): "test_two"}
    assert memory.load(tmp_path / "none.json") == {}
