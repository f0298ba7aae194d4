"""The memory of the mocks does not grow with the number of calls."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from paths import PATHS, SUPPORT

MOST = 8.0  # megabytes


@pytest.mark.parametrize(
    "count", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)]
)  # the long one takes some minutes
def test_memory_stays_flat_over_many_calls(count: int) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": PATHS,
    }
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "mocks_load.py"), str(count)], env=environment, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert float(done.stdout) < MOST
