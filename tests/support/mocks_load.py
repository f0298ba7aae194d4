"""Sends so many mixed calls to all mocks in process, and prints by how many megabytes the process grew meanwhile."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
from collections.abc import Iterator
from typing import Any

import psutil

from bananastand_mocks.server import Server
from tinymock import ask

TOKEN = "api_token=at_r0123456789abcdef0123456789abcdef"
KEY = "11111111-1111-1111-1111-111111111111"
RUN = {"modelKey": "value", "modelInputs": {"prompt": "a ripe banana"}, "startOnly": True}
WARM_UP = 15_000  # until journal and runs hold as much as they ever will


def calls(chance: random.Random) -> Iterator[tuple[str, str, Any, dict[str, str]]]:
    """What clients send, right and wrong; names and values that were never sent before among it."""
    while True:
        number = chance.randrange(10**9)
        yield from (
            ("GET", f"/lowcodeapi/bananadev/v1/models/value?{TOKEN}", None, {}),
            ("POST", f"/lowcodeapi/bananadev/v1/start?{TOKEN}", RUN, {}),
            ("POST", f"/lowcodeapi/bananadev/v1/start?{TOKEN}", {**RUN, f"key{number}": number}, {}),
            ("GET", f"/lowcodeapi/falai/v1/models?{TOKEN}&limit=1&name{number}={number}", None, {}),
            ("GET", f"/lowcodeapi/falai/v1/pricing?{TOKEN}&model_id=fal-ai/flux-pro", None, {}),
            ("GET", f"/lowcodeapi/falai/v1/usage?{TOKEN}&start_date=2026-01-01", None, {}),
            ("POST", "/banana/start/v4/", {**RUN, "apiKey": KEY, "id": str(number)}, {}),
            ("GET", "/banana/v1/projects", None, {"x-banana-api-key": f"wrong{number}", f"x-{number}": "1"}),
            ("GET", f"/fal/v1/nothing/{number}", None, {"authorization": f"Key {number}"}),
            ("POST", f"/lowcodeapi/bananadev/v1/run?{TOKEN}", b'{"modelKey": ', {}),
        )


async def send(server: Server, count: int, requests: Iterator[tuple[str, str, Any, dict[str, str]]]) -> None:
    """Send that many requests, one after the other."""
    for _ in range(count):
        method, target, body, headers = next(requests)
        await ask(server, method, target, body, key=None, headers=headers)


def main(count: int) -> None:
    """Print by how many megabytes the memory grows while the requests are served."""
    server, requests, process = Server(virtual=True, seed=1), calls(random.Random(1)), psutil.Process()
    asyncio.run(send(server, WARM_UP, requests))
    gc.collect()
    before = process.memory_info().rss
    asyncio.run(send(server, count, requests))
    gc.collect()
    assert server.worlds.default.breaches == []
    sys.stdout.write(f"{(process.memory_info().rss - before) / 2**20:.1f}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
