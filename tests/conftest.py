"""Shared by the library's tests: the `needs` marker, the mocks' fixtures, a hosted app."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import chromium, page
from needs import pytest_runtest_setup
from servers import Server, hosted, potassium

__all__ = ["anyio_backend", "chromium", "ours", "page", "pytest_runtest_setup", "root", "theirs"]

pytest_plugins = ["bananastand_mocks.plugin", "images"]  # the first is found by its entry point where installed

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """What runs the tests that are coroutines."""
    return "asyncio"


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    """tests/support/hosted.py under our host."""
    with hosted() as server:
        yield server


@pytest.fixture(scope="module")
def theirs() -> Iterator[Server]:
    """tests/support/hosted.py under Potassium's own server."""
    with potassium() as server:
        yield server
