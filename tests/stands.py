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

from bananastand.platform.deployer import Order
from bananastand.platform.errors import Refused
from bananastand.platform.launch import Launch
from bananastand.platform.projects import Project
from bananastand.platform.settings import Settings
from bananastand.platform.stand import Stand

HERE = Path(__file__).resolve().parent
APP = HERE / "replica_app.py"
QUICK = {"backoff": 0.05, "scale_wait": 0.2, "start_timeout": 20.0, "stop_grace": 3.0}


async def build(order: Order) -> Launch:
    """A launch of the small app, on no Potassium. The source says what else happens."""
    order.log(f"builds {order.source}")
    if order.source == "fails":
        raise Refused("line 3 of the Dockerfile: RUN false ended with status 1")
    if order.source == "hangs":
        await asyncio.sleep(3600)
    if order.source == "crashes":
        raise ZeroDivisionError("a mistake of the builder's own")
    return Launch("process", (sys.executable, "-S", str(APP)), str(HERE), dict(order.environment))


@asynccontextmanager
async def running(data: Path, **settings: Any) -> AsyncGenerator[Stand]:
    """A started stand, closed in the end."""
    stand = Stand(Settings(data=data, **{**QUICK, **settings}), build)
    try:
        await stand.start()
        yield stand
    finally:
        await stand.close(1.0)


async def deployed(stand: Stand, name: str = "app", source: str = "small", **options: Any) -> Project:
    """The project once a build of it is live."""
    settings = {key: options.pop(key) for key in list(options) if key not in ("environment", "secrets")}
    if settings:
        project = stand.projects.find(name) or stand.projects.create(name)
        stand.projects.change(project, settings)
    made = await stand.deploy(name, source, **options)
    await until(lambda: stand.builds.get(made.id).state in ("live", "failed"))
    assert stand.builds.get(made.id).state == "live", stand.builds.get(made.id).error
    return stand.projects.named(name)


async def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for it."""
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, "it did not come about in time"
        await asyncio.sleep(0.01)


async def called(stand: Stand, project: Project, route: str = "/", value: Any = None, **options: Any) -> Any:
    """The JSON of one call, which must succeed."""
    ticket = await stand.submit(project, route, json.dumps({} if value is None else value).encode(), **options)
    outcome = await ticket.outcome(30.0)
    assert outcome is not None, "no answer in time"
    assert outcome.error is None, outcome
    return json.loads(outcome.body)
