"""One replica of what a build made, asked directly: no platform around it."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bananastand.platform.launch import Launch
from bananastand.platform.nodes import ReplicaOrder
from bananastand.platform.replicas.client import ReplicaRequest, ReplicaResponse
from bananastand.platform.replicas.local_machine import LocalMachine
from bananastand.platform.replicas.replica import Replica
from bananastand.platform.settings import Settings
from bananastand.platform.store.builds import Deployment

__all__ = ["post", "replica_of", "reply_of"]

JSON = (("content-type", "application/json"),)


@asynccontextmanager
async def replica_of(
    launch: Launch, lines: list[str] | None = None, *, timeout: float = 120.0, host: str = "bananastand"
) -> AsyncGenerator[Replica]:
    """A replica that is ready, ended in the end. lines: gets its log."""
    log = lines if lines is not None else list[str]()
    deployment = Deployment("d" * 8, "project", launch, time.time(), {})
    machine = LocalMachine(Settings(Path("/nonexistent"), isolation="none", fork_servers=0), "tests")
    order = ReplicaOrder(uuid.uuid4().hex[:12], "project", deployment.id, launch, host)
    assert machine.reserve(order)
    replica = Replica(deployment, order, machine, lambda _: None, lambda _, line: log.append(line))
    replica.start(timeout=timeout)
    try:
        await replica.ready
        yield replica
    finally:
        replica.stop("the test is over", 5.0)
        await replica.ended


async def post(replica: Replica, value: Any, path: str = "/") -> ReplicaResponse:
    """What it answers to a POST of JSON."""
    return await replica.client.send(ReplicaRequest("POST", path, JSON, json.dumps(value).encode()), 120.0)


def reply_of(launch: Launch, value: Any, path: str = "/") -> Any:
    """The JSON of one call of a new replica."""

    async def scenario() -> Any:
        async with replica_of(launch) as replica:
            answer = await post(replica, value, path)
            assert answer.status == 200, answer
            return answer.json()

    return asyncio.run(scenario())
