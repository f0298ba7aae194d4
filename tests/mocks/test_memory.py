"""The memory of the mocks does not grow with the number of calls."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bananastand_mocks.kernel.journal import Journal
from paths import PATHS, SUPPORT

MOST = 8.0  # megabytes


@pytest.mark.parametrize(
    "count", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)]
)  # the long one takes some minutes
def test_memory_is_flat(count: int) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": PATHS,
    }
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "mocks_load.py"), str(count)], env=environment, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert float(done.stdout) < MOST


def test_a_journals_budget_is_what_lies_in_memory() -> None:
    """Bodies of many small objects are the dearest: they are kept packed."""
    import tracemalloc

    journal = Journal(budget=2 * 2**20)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(4000):
        body, headers = {"rows": [{} for _ in range(300)]}, {f"x-{n}": f"{number}-{n}" * 10 for n in range(8)}
        journal.record(0.0, "zoo", "read", "POST", f"/{number}", {}, headers, body, 1000, 200, b"x" * 200,
                       head_bytes=sum(len(name) + len(value) for name, value in headers.items()))  # fmt: skip
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert len(journal) > 100
    assert held < 2 * journal.budget
