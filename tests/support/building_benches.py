"""The process builder as a fixture, once with the build's files as the root of what runs and once without."""

from __future__ import annotations

from pathlib import Path

import pytest

from bananastand.platform.building.processes import process
from bananastand.platform.replicas.sandbox import sandbox_problem
from platform_builds import Bench

__all__ = ["NO_SANDBOX", "bench", "led", "sandboxed"]

NO_SANDBOX = "bubblewrap is not installed (apt-get install bubblewrap)"


SANDBOX = pytest.param("sandbox", marks=pytest.mark.needs("bwrap"))


def make_bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Builds in the test's folder."""
    sandbox = request.param == "sandbox"
    if not sandbox:
        monkeypatch.setattr(process, "sandbox_problem", lambda: NO_SANDBOX)
    elif (reason := sandbox_problem()) is not None:
        pytest.skip(reason)
    return Bench(tmp_path, sandboxed=sandbox)


bench = pytest.fixture(params=[SANDBOX, "led"])(make_bench)
sandboxed, led = (pytest.fixture(params=[kind])(make_bench) for kind in (SANDBOX, "led"))  # one of the two alone
