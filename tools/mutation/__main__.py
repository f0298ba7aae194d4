"""Puts faults into mocks and clients, one at a time, and says which of them no test sees.

    python -m tools.mutation                    all of them, into benchmarks/results/mutants.json
    python -m tools.mutation --sample 60        a seeded sample
    python -m tools.mutation --provider falai   those of one provider; of the others stands what --out has
    python -m tools.mutation --again            the survivors of the score file; the rest of it stands
    python -m tools.mutation --list             their names

What survives is printed. A survivor with a reason in mutation/survivors.yaml is told with it.
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

# Tests that a fault in this process can be seen by: those in a process of their own, or of nothing here, are left out.
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


def every() -> list[Mutant]:
    """All mutants, always in the same order."""
    return [*answers.mutants(), *rules.mutants(), *clients.mutants(), *code.mutants()]


def files() -> list[str]:
    """The test files that take part."""
    contract = [
        path
        for path in (ROOT / "contract_tests").rglob("test_*.py")
        if not str(path.relative_to(ROOT / "contract_tests")).startswith(BLIND)
    ]
    mocks = [path for path in (ROOT / "tests" / "mocks").rglob("test_*.py") if not path.name.endswith(BLIND_TOO)]
    return [str(mock) for mock in (*sorted(contract), *sorted(mocks), ROOT / "tests" / "outbound" / "test_outbound.py")]


def main() -> int:
    """Run as a script. The status is 1 where a survivor has no reason."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--provider", help="of one provider only")
    asked.add_argument("--only", help="those whose name holds this")
    asked.add_argument("--sample", type=int, help="so many, drawn with the seed")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    asked.add_argument("--patience", type=float, default=60.0, help="seconds of tests that are asked about one mutant")
    asked.add_argument("--minutes", type=float, default=60.0, help="after which no more are begun")
    asked.add_argument("--out", type=Path, help="where to write the score")
    asked.add_argument("--again", action="store_true", help="those that survived as --out has it, to be written anew")
    asked.add_argument("--list", action="store_true", help="name them and end")
    options = asked.parse_args()

    chosen = [
        item for item in every() if options.provider in (None, item.provider) and (options.only or "") in str(item)
    ]
    kept = options.out is not None and options.out.exists() and (options.again or options.provider)
    before = json.loads(options.out.read_text()) if kept else None
    if options.again:
        chosen = [item for item in chosen if key(item) in before["survivors"]]
    if options.sample is not None and options.sample < len(chosen):
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    if options.list:
        print(*chosen, f"{len(chosen)} mutants", sep="\n")
        return 0
    run = Run(chosen, options.workers, options.patience, options.minutes, _say, memory.load(), reasons(), memory.save)
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
    pytest.main([*words, *files()], plugins=[run])
    memory.save(run.outcomes)
    return report(run, options.out, before, again=options.again)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
