"""The rows of a call in the platform's database: `python -m benchmarks.store [postgresql://...]`, an empty one."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path

from bananastand.platform.replicas.client import ReplicaRequest
from bananastand.platform.settings import Settings
from bananastand.platform.store.blobs import Blobs
from bananastand.platform.store.calls import CallOutcome, Calls
from bananastand.platform.store.opening import close_store, open_store
from bananastand.platform.store.projects import Project, Projects

CALLS = 500
AT_ONCE = 64
REQUEST = ReplicaRequest("POST", "/", (), b'{"prompt": "a banana"}')


async def main(data: Path, url: str | None) -> None:
    """Measure calls one after the other, with and without a wait for the disk, and many at once."""
    settings = Settings(data, url)
    store = open_store(settings, str(uuid.uuid4()))
    project, calls = Projects(store).create(f"app-{uuid.uuid4().hex[:8]}"), Calls(store, Blobs(data / "bodies"))
    await store.flush()
    for durable in (True, False):
        times = [await call(calls, project, durable=durable) for _ in range(CALLS)]
        add, rows = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
        print(f"{'durable' if durable else 'its caller waits'}: added in {add:.2f} ms, all rows {rows:.2f} ms (p50)")
    limit, began = asyncio.Semaphore(AT_ONCE), time.perf_counter()

    async def limited() -> None:
        async with limit:
            await call(calls, project, durable=True)

    await asyncio.gather(*(limited() for _ in range(4 * CALLS)))
    print(f"{AT_ONCE} at once: {4 * CALLS / (time.perf_counter() - began):.0f} calls/s")
    await store.finish()
    close_store(settings, store)


async def call(calls: Calls, project: Project, *, durable: bool) -> tuple[float, float]:
    """Write the rows of a call; return the seconds until it was added, and until it has ended."""
    began = time.perf_counter()
    row = calls.new(project, REQUEST, run_id=None, digest=None, cold=False)
    added = None if durable else calls.add_now(row, b"{}")
    added = added or await calls.add(row, b"{}", durable=durable)
    seconds = time.perf_counter() - began
    leased = await calls.lease(added, "replica", 30.0)
    await calls.finish(leased, CallOutcome(200, (), b"{}"), project.model_key, has_file=False)
    return seconds, time.perf_counter() - began


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder), sys.argv[1] if len(sys.argv) > 1 else None))
