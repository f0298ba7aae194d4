"""Builds a source with the process builder, one build after the other with one cache, and runs the result."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bananastand.platform.building import BuildSettings, build
from bananastand.platform.launch import Launch
from bananastand.platform.replicas.sandbox import sandbox_command
from package_server import wheel as wheel_content

__all__ = ["Bench", "served", "wheel"]


class Bench:
    """A source, a cache, and builds of it one after the other; `sandboxed`: replicas have its files as their root."""

    def __init__(self, folder: Path, *, sandboxed: bool = False) -> None:
        self.folder, self.source, self.lines, self.sandboxed = folder, folder / "source", list[str](), sandboxed
        self.wheels, self.count = folder / "wheels", 0
        self.source.mkdir()
        self.wheels.mkdir()

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def build(self, dockerfile: str | None = None, **settings: Any) -> Launch:
        if dockerfile is not None:
            self.write({"Dockerfile": dockerfile})
        self.count, self.lines = self.count + 1, []
        source = self.folder / f"fetched{self.count}"
        shutil.copytree(self.source, source, symlinks=True)
        return asyncio.run(self.built(source, f"build{self.count}", **settings))

    async def built(self, source: Path, folder: str, **settings: Any) -> Launch:
        """Build another source."""
        options = BuildSettings(cache=self.folder / "cache", **{"builder": "process", **settings})
        return await build(source, settings=options, folder=self.folder / folder, log=self.lines.append)

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    @property
    def pip_line(self) -> str:
        """An ENV line by which pip takes only the bench's wheels."""
        return f"ENV PIP_NO_INDEX=1 PIP_FIND_LINKS={self.wheels.as_uri()}\n"

    def ran(self, launch: Launch, **variables: str) -> str:
        """Return what a replica prints."""
        command, environment, folder = launch.command, {**os.environ, **variables, **launch.environment}, launch.workdir
        if self.sandboxed:
            assert launch.root is not None
            sandboxed = sandbox_command(command, root=launch.root, workdir=launch.workdir, environment=environment)
            command, environment, folder = sandboxed.command, sandboxed.environment, "/"
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextmanager
def served(folder: Path) -> Generator[str]:
    """Yield the address of a server of the folder's files."""

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
    """Write a package of one module, as pip takes it."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    path.write_bytes(wheel_content(name, version))
    return path
