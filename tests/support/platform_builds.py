"""A bench for builds by the process builder: a source, a cache, builds one after the other, and what they start."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bananastand.platform.building import BuildSettings, build
from bananastand.platform.launch import Launch
from bananastand.platform.replicas.sandbox import sandbox_command

__all__ = ["Bench", "served", "wheel"]


class Bench:
    """A source, a cache, and builds of it. sandboxed: whether replicas have the build's tree as their root."""

    def __init__(self, folder: Path, *, sandboxed: bool) -> None:
        self.folder, self.source, self.lines, self.sandboxed = folder, folder / "source", list[str](), sandboxed
        self.wheels = folder / "wheels"
        self.source.mkdir()
        self.wheels.mkdir()
        self.count = 0

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def build(self, dockerfile: str | None = None, **settings: Any) -> Launch:
        if dockerfile is not None:
            (self.source / "Dockerfile").write_text(dockerfile)
        self.count, self.lines = self.count + 1, []
        given: dict[str, Any] = {"builder": "process", **settings}
        folder = self.folder / f"build{self.count}"
        source = self.folder / f"fetched{self.count}"
        shutil.copytree(self.source, source, symlinks=True)
        made = BuildSettings(cache=self.folder / "cache", **given)
        return asyncio.run(build(source, settings=made, folder=folder, log=self.lines.append))

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    @property
    def index(self) -> str:
        """An ENV line by which pip takes the bench's wheels alone."""
        return f"ENV PIP_NO_INDEX=1 PIP_FIND_LINKS={self.wheels.as_uri()}\n"

    def ran(self, launch: Launch) -> str:
        """What a replica of it says."""
        command, environment, folder = launch.command, {**os.environ, **launch.environment}, launch.workdir
        if self.sandboxed:
            assert launch.root is not None
            made = sandbox_command(command, root=launch.root, workdir=launch.workdir, environment=environment)
            command, environment, folder = made.command, made.environment, "/"
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextmanager
def served(folder: Path) -> Generator[str]:
    """The address of a server of the folder's files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def wheel(folder: Path, name: str, version: str) -> Path:
    """A package of one line, as pip takes it."""
    path, about = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", f"version = {version!r}\n")
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", f"{name}.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return path
