"""Shared by the platform's tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bananastand.platform.platform import Platform
from postgresql import database, postgres_server
from stands import running

__all__ = ["database", "postgres_server", "stand"]


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncGenerator[Platform]:
    """A started platform with its data in tmp_path."""
    async with running(tmp_path) as platform:
        yield platform
