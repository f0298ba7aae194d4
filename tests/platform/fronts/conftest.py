"""A PostgreSQL server for the tests of fronts, and a witness of its own: it counts how often each call ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ends import Ends
from postgres_server import PostgresServer


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    running = PostgresServer()
    yield running
    running.close()


@pytest.fixture(scope="module")
def database(server: PostgresServer) -> str:
    """The address of a new database."""
    return server.create()


@pytest.fixture
def ends(database: str) -> Iterator[Ends]:
    """How often each call of the database ended."""
    with Ends(database) as counted:
        yield counted
