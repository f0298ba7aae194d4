"""The process builder as a fixture, once with the build's files as the root of what runs and once without."""

from __future__ import annotations

from pathlib import Path

import pytest

from bananastand.platform.building.processes import process
from bananastand.platform.replicas.sandbox import sandbox_problem
from platform_builds import Bench

__all__ = ["bench"]

NO_SANDBOX = "bubblewrap is not installed (apt-get install bubblewrap)"


@pytest.fixture(params=[pytest.param("sandbox", marks=pytest.mark.needs("bwrap")), "led"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Builds in the test's folder."""
    sandbox = request.param == "sandbox"
    if not sandbox:
        monkeypatch.setattr(process, "sandbox_problem", lambda: NO_SANDBOX)
    elif (reason := sandbox_problem()) is not None:
        pytest.skip(reason)
    return Bench(tmp_path, sandboxed=sandbox)
