"""How the OpenMP threads of replicas wait: asleep after microseconds, where nobody chose."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bananastand.platform.launch import Launch
from bananastand.platform.replicas.start_command import make_start_command

CHOSEN = {"OMP_WAIT_POLICY": "active"}


def environment(launch: dict[str, str], monkeypatch: pytest.MonkeyPatch, **own: str) -> dict[str, str]:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    started = Launch("process", ("python3", "app.py"), "/", launch, sys.executable)
    return make_start_command(started, platform="s", replica="r", port=1).environment


def test_a_replicas_threads_sleep_at_barriers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment({}, monkeypatch)["GOMP_SPINCOUNT"] == "600"


def test_a_deploys_own_choice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment(CHOSEN, monkeypatch)["OMP_WAIT_POLICY"] == "active"
    assert "GOMP_SPINCOUNT" not in environment({"KMP_BLOCKTIME": "200"}, monkeypatch)


def test_the_choice_of_who_runs_the_platform_reaches_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = environment({}, monkeypatch, GOMP_SPINCOUNT="5000")

    assert variables["GOMP_SPINCOUNT"] == "5000"
    assert "KMP_BLOCKTIME" not in variables


def test_a_containers_threads_sleep_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    start = make_start_command(
        Launch("container", ("python3", "app.py"), "", image="x", engine="docker"), platform="s", replica="r", port=1
    )

    assert "GOMP_SPINCOUNT" in start.command
    assert start.environment["GOMP_SPINCOUNT"] == "600"


def test_torch_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """OMP_DISPLAY_ENV has the OpenMP library itself print what it took."""
    own = environment({"OMP_DISPLAY_ENV": "verbose"}, monkeypatch)
    done = subprocess.run(
        [sys.executable, "-c", "import torch"], env={**os.environ, **own}, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert "GOMP_SPINCOUNT = '600'" in done.stderr
