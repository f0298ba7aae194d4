"""The marker `needs`: a test whose programs are missing is skipped with its reason, or fails where all are required."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

__all__ = ["programs_path", "pytest_runtest_setup"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs are missing; where STAND_REQUIRE_ALL is 1, fail instead."""
    for marker in item.iter_markers("needs"):
        missing = [program for program in marker.args if shutil.which(program, path=programs_path()) is None]
        if missing and os.environ.get("STAND_REQUIRE_ALL") == "1":
            pytest.fail(f"needs {', '.join(missing)}, and STAND_REQUIRE_ALL=1 allows no skip", pytrace=False)
        if missing:
            pytest.skip(f"needs {', '.join(missing)}")


def programs_path() -> str:
    """Return where programs are looked for: uv comes with packages, and Debian keeps PostgreSQL's out of PATH."""
    servers = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""), *servers))
