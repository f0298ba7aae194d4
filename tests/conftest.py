"""Shared by all tests: the `needs` marker, and tiny random-weight pipelines of each family."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import Server, hosted, potassium

pytest_plugins = ["bananastand_mocks.plugin", "images"]  # the first is found by its entry point where installed

ROOT = Path(__file__).parents[1]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs are missing, with the reason; where all are required, fail instead."""
    for marker in item.iter_markers("needs"):
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing and os.environ.get("STAND_REQUIRE_ALL") == "1":
            pytest.fail(f"needs {', '.join(missing)}, and STAND_REQUIRE_ALL=1 allows no skip", pytrace=False)
        if missing:
            pytest.skip(f"needs {', '.join(missing)}")


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    """tests/hosted.py under our host."""
    with hosted() as server:
        yield server


@pytest.fixture(scope="module")
def theirs() -> Iterator[Server]:
    """tests/hosted.py under Potassium's own server."""
    with potassium() as server:
        yield server
