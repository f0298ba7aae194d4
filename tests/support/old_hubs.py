"""Old versions of huggingface_hub, installed from the package index; without one the test is skipped."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

__all__ = ["OLD", "old_hub", "run_python"]

OLD = ("0.8.1", "0.14.1", "0.20.3")


def old_hub(version: str, folder: Path) -> Path:
    """Return a folder for PYTHONPATH with a version of huggingface_hub and what it needs."""
    place = folder / version
    if not place.exists():
        words = ["install", "--quiet", "--target", str(place), f"huggingface_hub=={version}", "requests<3", "urllib3<3"]
        done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"huggingface_hub {version} cannot be installed here: {done.stderr.strip()[-300:]}")
    return place


def run_python(
    text: str, environment: Mapping[str, str], path: Sequence[Path] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python of its own, with these folders before its packages."""
    own = {"PATH": os.environ["PATH"], "HOME": environment["HF_HOME"], "PYTHONPATH": os.pathsep.join(map(str, path))}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "download.py")
        program.write_text(text)
        return subprocess.run(
            [sys.executable, str(program)], capture_output=True, text=True, timeout=120, env={**own, **environment}
        )
