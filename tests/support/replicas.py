"""One replica of what a build made, asked directly: no platform around it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from bananastand.platform.launch import Launch
from bananastand.platform.replicas.client import ReplicaRequest, ReplicaResponse
from bananastand.platform.replicas.replica import Replica
from bananastand.platform.replicas.start_command import make_start_command
from bananastand.platform.store.builds import Deployment
from servers import free_port

__all__ = ["post", "replica_of", "reply_of"]

JSON = (("content-type", "application/json"),)


@asynccontextmanager
async def replica_of(
    launch: Launch, lines: list[str] | None = None, *, timeout: float = 120.0, host: str = "bananastand"
) -> AsyncGenerator[Replica]:
    """A replica that is ready, ended in the end. lines: gets its log."""
    log = lines if lines is not None else list[str]()
    deployment = Deployment("d" * 8, "project", launch, time.time(), {})
    replica = Replica(deployment, 0, lambda _: None, lambda _, line: log.append(line))
    start = make_start_command(launch, platform="tests", replica=replica.id, port=free_port(), host=host)
    replica.start(start, timeout=timeout, memory_mb=None)
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
