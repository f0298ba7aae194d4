"""pytest fixtures: `stand` is the test's own world; `bananadev` and the like are the providers' addresses in it.

Each process of a test run has one server on a free port, started for the first test that needs it. Nothing is imported
before, because pytest loads this module in every run where the package is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .running import Endpoint, MockSession, RunningServer

__all__ = [
    "banana_native",
    "bananadev",
    "fal_native",
    "fal_queue",
    "falai",
    "gobananas",
    "mock_server",
    "paperbanana",
    "stand",
]


@pytest.fixture(scope="session")
def mock_server() -> Iterator[RunningServer]:
    """The server of this process."""
    from .running import start

    with start() as server:
        yield server


@pytest.fixture
def stand(mock_server: RunningServer) -> Iterator[MockSession]:
    """A new world with seed 0 and a virtual clock, which our clients advance where they would sleep.

    The test fails if a response in it did not fit its contract.
    """
    session = mock_server.stand(auto_advance=True)
    yield session
    breaches = session.world.breaches
    mock_server.asgi.worlds.remove(session.world)
    assert not breaches, "the mock answered against its own contract: " + "; ".join(breaches)


@pytest.fixture
def bananadev(stand: MockSession) -> Endpoint:
    """Banana.dev through LowCodeAPI, in the test's world."""
    return stand.endpoint("bananadev")


@pytest.fixture
def falai(stand: MockSession) -> Endpoint:
    """fal.ai through LowCodeAPI, in the test's world."""
    return stand.endpoint("falai")


@pytest.fixture
def banana_native(stand: MockSession) -> Endpoint:
    """Banana.dev's own API, in the test's world."""
    return stand.endpoint("banana-native")


@pytest.fixture
def fal_native(stand: MockSession) -> Endpoint:
    """fal.ai's own API, in the test's world."""
    return stand.endpoint("fal-native")


@pytest.fixture
def fal_queue(stand: MockSession) -> Endpoint:
    """fal.ai's queue, in the test's world."""
    return stand.endpoint("fal-queue")


@pytest.fixture
def gobananas(stand: MockSession) -> Endpoint:
    """Go Bananas!, in the test's world."""
    return stand.endpoint("gobananas")


@pytest.fixture
def paperbanana(stand: MockSession) -> Endpoint:
    """PaperBanana, in the test's world."""
    return stand.endpoint("paperbanana")
