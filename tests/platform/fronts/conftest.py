"""A database for each module of tests, and a witness in it that counts how often each call ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ends import Ends
from postgresql import PostgresServer


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a new database."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def ends(database: str) -> Iterator[Ends]:
    """How often each call of the database ended."""
    with Ends(database) as counted:
        yield counted
