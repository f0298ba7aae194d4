"""The platform in virtual time: hundreds of seeds without a violation, and old faults that a seed finds.

`make simulate SEEDS=20000` runs more of them.
"""

from __future__ import annotations

import os

import pytest

from tools.simulate.old_faults import FAULTS
from tools.simulate.scenario import Failure, run_seed

SEEDS = int(os.environ.get("SIMULATED_SEEDS", "300"))


def test_no_seed_finds_a_violation() -> None:
    for seed in range(SEEDS):
        run_seed(seed)


def test_a_seed_is_the_same_each_time() -> None:
    first, second = run_seed(7), run_seed(7)

    assert first.trace == second.trace
    assert len(first.trace) > 20


@pytest.mark.parametrize(
    ("fault", "findings"),
    [
        ("jammed-replica", ("had no end 3600 s after the last misbehaviour", "still has slots taken by")),
        ("busy-answer", ("begins though an earlier one has answered",)),
        ("shared-death", ("was given up after",)),
        ("blamed-version", ("a version has failed",)),
        ("unnoticed-loss", ("is known to be gone",)),
    ],
)
def test_an_old_fault_is_found_within_a_thousand_seeds(fault: str, findings: tuple[str, ...]) -> None:
    failure = first_failure(fault)

    assert failure is not None
    assert any(finding in failure.violation for finding in findings)
    assert "is ready" in str(failure), "its trace says what has happened"


def first_failure(fault: str) -> Failure | None:
    for seed in range(1000):
        try:
            run_seed(seed, FAULTS[fault])
        except Failure as failure:
            return failure
    return None
