"""`pip install 'bananastand[mocks]'` in an empty environment: what it brings, how large it is, how fast it imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from paths import ROOT
from sdk_packages import PythonSdks

MOST = 300 * 10**6  # bytes
LOOK = """
import json, sys, time
started = time.perf_counter()
import bananastand_mocks
took = time.perf_counter() - started
from importlib.metadata import distributions
print(json.dumps([took, sorted(d.name.lower() for d in distributions())]))
"""
CALL = """
import bananastand_mocks, httpx2
with bananastand_mocks.start() as server:
    at = server.endpoint("gobananas")
    key, prompt = {"X-API-Key": at.key}, {"prompt": "a pear"}
    made = httpx2.post(f"{at.base_url}/api/images", headers=key, json=prompt, timeout=60)
    print(made.status_code, httpx2.get(made.json()["images"][0]["url"]).content[1:4])
"""


@pytest.mark.slow
@pytest.mark.needs("uv")
def test_the_mocks_install_without_torch_and_import_in_half_a_second(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    python = PythonSdks(tmp_path / "environments").python(f"bananastand[mocks] @ {wheel.as_uri()}")

    packages, times = list[str](), list[float]()
    for _ in range(5):
        took, packages = json_of(python, LOOK)
        times.append(took)
    size = sum(
        os.lstat(Path(folder) / name).st_size
        for folder, _, names in os.walk(python.parents[1])
        for name in names
        if not name.endswith(".pyc")
    )

    assert not {"torch", "diffusers", "transformers"} & set(packages)
    assert "fastapi" in packages
    assert size < MOST, f"{size / 1e6:.0f} MB"
    assert min(times) < 0.5, times  # of several, because the machine may be busy
    assert output_of(python, CALL).split() == ["200", "b'PNG'"]


def output_of(python: Path, program: str) -> str:
    ran = subprocess.run(
        [str(python), "-c", program], capture_output=True, text=True, timeout=120, cwd=python.parent, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def json_of(python: Path, program: str) -> tuple[float, list[str]]:
    took, packages = json.loads(output_of(python, program))
    return took, packages
