"""Stands for tests: a data directory, a builder that makes a launch of a small app, and short waits."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from bananastand.platform.building.deployer import Order
from bananastand.platform.errors import Refused
from bananastand.platform.launch import Launch
from bananastand.platform.platform import Platform
from bananastand.platform.settings import Settings
from bananastand.platform.store.projects import Project
from paths import PATHS, SUPPORT
from servers import free_port, limited

APP = SUPPORT / "replica_app.py"
QUICK = {"backoff": 0.05, "scale_wait": 0.2, "start_timeout": 20.0, "stop_grace": 3.0}


async def build(order: Order) -> Launch:
    """A launch of the small app, which knows no Potassium; the source says what else it is, or what happens."""
    order.log(f"builds {order.source}")
    if order.source == "fails":
        raise Refused("line 3 of the Dockerfile: RUN false ended with status 1")
    if order.source == "hangs":
        await asyncio.sleep(3600)
    if order.source == "spawns":
        nowhere = asyncio.subprocess.DEVNULL
        command = (sys.executable, "-S", "-c", "import time; time.sleep(600)")
        child = await asyncio.create_subprocess_exec(*command, stdin=nowhere, stdout=nowhere, stderr=nowhere)
        order.log(f"pid {child.pid}")
        try:
            await child.wait()
        finally:
            child.kill()
            await child.wait()
    if order.source == "crashes":
        raise ZeroDivisionError("a mistake of the builder's own")
    if order.source in ("echo", "raw"):
        command = (sys.executable, "-S", str(SUPPORT / f"{order.source}_app.py"))
        return Launch("process", command, str(SUPPORT), dict(order.environment))
    if order.source == "websocket":
        command = (sys.executable, str(SUPPORT / "websocket_app.py"))
        return Launch("process", command, str(SUPPORT), dict(order.environment), health="/healthcheck")
    if order.source == "node":
        return Launch("process", ("node", str(SUPPORT / "websocket_app.js")), str(SUPPORT), dict(order.environment))
    if order.source == "template":
        command = ("python3", "-u", "first_template.py")
        return Launch("process", command, str(SUPPORT), python=sys.executable, port=8000)
    if order.source == "refuses":
        return Launch("process", (sys.executable, "-S", str(SUPPORT / "refusing_app.py")), str(SUPPORT))
    if order.source == "serves":
        command = ("bananastand", "serve", "hosted.py", "--port", "8000", "--queue", "0")
        code = "import sys; from bananastand.cli import main; sys.argv = sys.argv[1:]; main()"
        return Launch("process", (sys.executable, "-c", code, *command), str(SUPPORT), {"PYTHONPATH": PATHS}, port=8000)
    if order.source == "potassium":
        environment = {"PYTHONPATH": PATHS, **order.environment}
        return Launch("process", ("python3", "-u", "hosted.py"), str(SUPPORT), environment, python=sys.executable)
    return Launch("process", (sys.executable, "-S", str(APP)), str(SUPPORT), dict(order.environment))


@asynccontextmanager
async def running(data: Path, **settings: Any) -> AsyncGenerator[Platform]:
    """A started stand, closed in the end."""
    stand = Platform(Settings(data=data, **{**QUICK, **settings}), build)
    try:
        await stand.start()
        yield stand
    finally:
        await stand.close(1.0)


async def deployed(stand: Platform, name: str = "app", source: str = "small", **options: Any) -> Project:
    """The project once a build of it is live."""
    settings = {key: options.pop(key) for key in list(options) if key not in ("environment", "secrets")}
    if settings:
        project = stand.projects.find(name) or stand.projects.create(name)
        stand.projects.change(project, settings)
    made = stand.deploy(name, source, **options)
    await until(lambda: stand.builds.get(made.id).state in ("live", "failed"))
    assert stand.builds.get(made.id).state == "live", stand.builds.get(made.id).error
    return stand.projects.named(name)


class Up:
    """`bananastand up` in a process of its own, with the builder of these tests."""

    def __init__(self, data: Path, **options: Any) -> None:
        self.data = data
        self.port = options.pop("port", None) or free_port()
        files = options.pop("files", None)
        arguments = json.dumps({"data": str(data), "port": self.port, **options})
        code = "import stands, sys; sys.exit(stands.up(sys.argv[1]))"
        self.process = subprocess.Popen(
            limited([sys.executable, "-c", code, arguments], files),
            env={**os.environ, "PYTHONPATH": PATHS},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False)
        limit = time.monotonic() + 60
        while not any("valid" in line or "api_token" in line for line in self.lines):
            if self.process.poll() is not None or time.monotonic() > limit:
                self.process.kill()
                self.ended()
                raise AssertionError(self.log)
            time.sleep(0.02)
        self.key = tomllib.loads((data / "client.toml").read_text())["key"]
        self.http.headers["authorization"] = f"Bearer {self.key}"

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def deploy(self, name: str = "app", source: str = "small", **body: Any) -> dict[str, Any]:
        """The build, once it is over."""
        made = self.http.post(f"/stand/v1/projects/{name}/deploy", json={"source": source, **body}).json()
        self.http.get(f"/stand/v1/builds/{made['build_id']}/log?follow=true")
        return self.http.get(f"/stand/v1/builds/{made['build_id']}").json()

    def stop(self) -> int:
        self.process.terminate()
        return self.ended()

    def kill(self) -> None:
        self.process.kill()
        self.ended()

    def ended(self) -> int:
        self.http.close()
        status = self.process.wait(30)
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)


def up(arguments: str) -> int:
    """The process of `Up`: the options, and what of the settings a test wants otherwise."""
    from bananastand.cli._platform_options import Options
    from bananastand.cli._platform_server import run

    given = json.loads(arguments)
    settings = {**QUICK, **given.pop("settings", {})}
    given["fronts"] = tuple((port, name) for port, name in given.get("fronts", ()))
    return run(Options(**{**given, "data": Path(given["data"])}), build, **settings)


async def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for it."""
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, "it did not come about in time"
        await asyncio.sleep(0.01)


async def called(stand: Platform, project: Project, route: str = "/", value: Any = None, **options: Any) -> Any:
    """The JSON of one call, which must succeed."""
    pending = await stand.submit(project, route, json.dumps({} if value is None else value).encode(), **options)
    outcome = await pending.outcome(30.0)
    assert outcome is not None, "no answer in time"
    assert outcome.error is None, outcome
    return json.loads(outcome.body)
