"""Mutation testing: puts faults into the mocks and the clients, one at a time, and names those that no test detects.

    python -m tools.mutation                    all mutants
    python -m tools.mutation --sample 60        a seeded sample
    python -m tools.mutation --provider falai   the mutants of one provider; --out keeps the scores of the others
    python -m tools.mutation --again            the survivors in --out; the rest of the file stays
    python -m tools.mutation --tests falai      only test files with `falai` in their path; may be repeated
    python -m tools.mutation --list             the names of the mutants

Survivors are printed, each with its reason if tools/mutation/survivors.yaml has one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / text) for text in ("", "mocks", "contract_tests/support", "tests/support")]

import pytest  # noqa: E402

from tools.mutation import (  # noqa: E402
    answers,
    clients,
    code,
    memory,
    rules,
)
from tools.mutation.mutant import Mutant, key  # noqa: E402
from tools.mutation.report import reasons, report  # noqa: E402
from tools.mutation.run import Run  # noqa: E402

# Tests that cannot detect a fault in this process are left out: they start programs, or run none of the mutated code.
TESTS = ("contract_tests", "tests")
BLIND = (
    "contracts/test_fidelity.py",
    "documents/test_documents",
    "contracts/test_contracts.py",
    "clients/test_cli.py",
    "clients/test_docs.py",
    "contracts/test_conformance.py",
    "outsiders/",
    "contracts/test_properties.py",  # slow, and it starts from the contract alone
)
BLIND_TOO = ("test_cli.py", "_killed.py", "_memory.py", "test_state.py")


def all_mutants() -> list[Mutant]:
    """Returns all mutants, always in the same order."""
    return [*answers.mutants(), *rules.mutants(), *clients.mutants(), *code.mutants()]


def test_files(parts: list[str]) -> list[str]:
    """Returns the test files that take part, only those with one of the parts in their path if there are any."""
    contract = [
        path
        for path in (ROOT / "contract_tests").rglob("test_*.py")
        if not str(path.relative_to(ROOT / "contract_tests")).startswith(BLIND)
    ]
    mocks = [path for path in (ROOT / "tests" / "mocks").rglob("test_*.py") if not path.name.endswith(BLIND_TOO)]
    paths = [*sorted(contract), *sorted(mocks), ROOT / "tests" / "outbound" / "test_outbound.py"]
    return [str(path) for path in paths if not parts or any(part in str(path.relative_to(ROOT)) for part in parts)]


def main() -> int:
    """Runs the command. Returns 1 if a survivor has no reason, or a mutant was not tested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider", help="only the mutants of this provider")
    parser.add_argument("--only", help="only mutants whose name contains this")
    parser.add_argument("--sample", type=int, help="only so many mutants, drawn with --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--patience", type=float, default=60.0, help="most seconds of tests for one mutant")
    parser.add_argument("--minutes", type=float, default=60.0, help="minutes after which no further mutant is tested")
    parser.add_argument("--out", type=Path, help="the score file, written as JSON")
    parser.add_argument("--again", action="store_true", help="only the survivors in --out, whose score is updated")
    parser.add_argument("--tests", action="append", default=[], help="only test files whose path contains this")
    parser.add_argument("--list", action="store_true", help="print the names of the mutants")
    options = parser.parse_args()

    chosen = [
        item
        for item in all_mutants()
        if options.provider in (None, item.provider) and (options.only or "") in str(item)
    ]
    merges = options.out is not None and options.out.exists() and (options.again or options.provider)
    before = json.loads(options.out.read_text()) if merges else None
    if options.again:
        chosen = [item for item in chosen if key(item) in before["survivors"]]
    if options.sample is not None and options.sample < len(chosen):
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    if options.list:
        print(*chosen, f"{len(chosen)} mutants", sep="\n")
        return 0
    run = Run(chosen, options.workers, options.patience, options.minutes, _log, memory.load(), reasons(), memory.save)
    words = [
        "-q",
        "-s",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]
    pytest.main([*words, *test_files(options.tests)], plugins=[run])
    memory.save(run.outcomes)
    return report(run, options.out, before, again=options.again)


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
