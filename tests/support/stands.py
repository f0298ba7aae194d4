"""Stands for tests: a data directory, a builder that makes a launch of a small app, and short waits."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bananastand.platform.building.deployer import Builder, BuildRequest
from bananastand.platform.errors import Refused
from bananastand.platform.launch import Launch
from bananastand.platform.platform import MakeNodes, Platform
from bananastand.platform.replicas.local_machine import LocalMachine
from bananastand.platform.scheduling.pending_call import PendingCall
from bananastand.platform.settings import Settings
from bananastand.platform.store.calls import CallOutcome
from bananastand.platform.store.projects import Project
from paths import PATHS, SUPPORT
from servers import PlatformProcess, free_port, limited

APP = SUPPORT / "replica_app.py"
# A daemon, by the book: another session, no parent, and nothing of the environment. Then the small app.
ESCAPES = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", os.environ["MARK"]], {})
    os._exit(0)
os.wait()
os.execv(sys.executable, [sys.executable, "-S", sys.argv[1]])
"""
DATABASE: str | None = None  # of the platforms of a test; the fixture `database` sets it
QUICK = {"backoff": 0.05, "scale_wait": 0.2, "start_timeout": 20.0, "stop_grace": 3.0}


async def build(order: BuildRequest) -> Launch:
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
    if order.source == "escapes":
        return Launch("process", (sys.executable, "-c", ESCAPES, str(APP)), str(SUPPORT), dict(order.environment))
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
async def running(
    data: Path, *, builder: Builder = build, make_nodes: MakeNodes = LocalMachine, **settings: Any
) -> AsyncGenerator[Platform]:
    """A started stand, closed in the end."""
    platform = Platform(Settings(data=data, **{"database": DATABASE, **QUICK, **settings}), builder, make_nodes)
    try:
        await platform.start()
        yield platform
    finally:
        await platform.close(1.0)


async def deployed(platform: Platform, name: str = "app", source: str = "small", **options: Any) -> Project:
    """The project once a build of it is live."""
    settings = {key: options.pop(key) for key in list(options) if key not in ("environment", "secrets")}
    if settings:
        project = platform.projects.find(name) or platform.projects.create(name)
        platform.projects.change(project, settings)
    build = platform.deploy(name, source, **options)
    await until(lambda: platform.builds.get(build.id).state in ("live", "failed"))
    assert platform.builds.get(build.id).state == "live", platform.builds.get(build.id).error
    return platform.projects.named(name)


class Up(PlatformProcess):
    """`bananastand up` in a process of its own, with the builder of these tests."""

    def __init__(self, data: Path, *, port: int | None = None, files: int | str | None = None, **options: Any) -> None:
        port = port or free_port()
        options["settings"] = {"database": DATABASE, **options.get("settings", {})}
        arguments = json.dumps({"data": str(data), "port": port, **options})
        code = "import stands, sys; sys.exit(stands.up(sys.argv[1]))"
        super().__init__(limited([sys.executable, "-c", code, arguments], files), port, data, PYTHONPATH=PATHS)

    def deploy(self, name: str = "app", source: str = "small", **body: Any) -> dict[str, Any]:
        """The build, once it is over."""
        build = self.http.post(f"/stand/v1/projects/{name}/deploy", json={"source": source, **body}).json()
        self.http.get(f"/stand/v1/builds/{build['build_id']}/log?follow=true")
        return self.http.get(f"/stand/v1/builds/{build['build_id']}").json()


def up(arguments: str) -> int:
    """The process of `Up`: the options, and what of the settings a test wants otherwise."""
    from bananastand.cli._platform_options import Options
    from bananastand.cli._platform_server import run

    options = json.loads(arguments)
    settings = {**QUICK, **options.pop("settings", {})}
    options["fronts"] = tuple((port, name) for port, name in options.get("fronts", ()))
    return run(Options(**{**options, "data": Path(options["data"])}), build, **settings)


async def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for it."""
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, "it did not come about in time"
        await asyncio.sleep(0.01)


async def called(platform: Platform, project: Project, route: str = "/", value: Any = None, **options: Any) -> Any:
    """The JSON of one call, which must succeed."""
    pending = await platform.submit(project, route, json.dumps({} if value is None else value).encode(), **options)
    outcome = await outcome_of(pending)
    assert outcome.error is None, outcome
    return json.loads(outcome.body)


async def outcome_of(pending: PendingCall) -> CallOutcome:
    """The end of a call, which must come within a minute."""
    outcome = await pending.outcome(60.0)
    assert outcome is not None, "it did not end in time"
    return outcome
