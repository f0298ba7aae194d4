"""A database for each test of fronts, with a witness of its own: the server counts how often each call ended."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from ends import Ends


@pytest.fixture(scope="session")
def server() -> str:
    return os.environ["FRONTS_SERVER"]


@pytest.fixture(scope="module")
def database(server: str) -> Iterator[str]:
    """The URL of a new database."""
    name = f"fronts_{uuid.uuid4().hex}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield f"{server}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def ends(database: str) -> Iterator[Ends]:
    """How often each call of the database ended, counted by its server."""
    with Ends(database) as counted:
        yield counted
