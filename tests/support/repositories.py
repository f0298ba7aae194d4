"""A repository to build with a package index on loopback, and what a made environment holds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.launch import Launch
from package_server import PackageServer
from platform_builds import Bench

OLD = time.mktime((2023, 3, 1, 12, 0, 0, 0, 0, 0))
HERE = f"cp3{sys.version_info[1]}-cp3{sys.version_info[1]}-manylinux_2_17_x86_64"


class Repository(Bench):
    """A bench whose builds ask an index on loopback."""

    def __init__(self, folder: Path, index: PackageServer) -> None:
        super().__init__(folder)
        self.index = index

    def write_app(
        self, requirements: str, base: str = "python:3", app: str = "print('app')\n", old: bool = False
    ) -> None:
        """Write an app with requirements; `old`: all files are of 2023-03-01."""
        lines = (
            "WORKDIR /app\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\nCOPY . .\nCMD python3 app.py\n"
        )
        self.write({"requirements.txt": requirements, "app.py": app, "Dockerfile": f"FROM {base}\n{lines}"})
        for path in self.source.iterdir() if old else ():
            os.utime(path, (OLD, OLD))

    async def built(self, source: Path, folder: str, **settings: Any) -> Launch:
        """Build, in environments of its own, with torch from the index."""
        return await super().built(source, folder, **{"adopt": (), "torch_index": self.index.url("cpu"), **settings})

    @property
    def environments(self) -> list[Path]:
        folder = self.folder / "cache" / "environments"
        return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageServer]:
    with PackageServer() as server:
        for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", server.url())
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
        yield server


@pytest.fixture
def repository(tmp_path: Path, index: PackageServer) -> Repository:
    return Repository(tmp_path, index)


def installed(launch: Launch) -> dict[str, str]:
    """Return the packages of the environment, as its interpreter reports them."""
    code = "import importlib.metadata as m; [print(d.metadata['Name'], d.version) for d in m.distributions()]"
    said = subprocess.run([str(launch.python), "-c", code], capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in said.splitlines())


def python_of(launch: Launch) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([str(launch.python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
