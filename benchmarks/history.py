"""What 1,000,000 finished calls in the database cost: submitting a call, the pages, metrics, usage and the sweep.

`python -m benchmarks.history [--database URL]` measures two platforms with 1,000 projects, one with the calls and one
without them, in turns, and writes results/history.json and the pages' tables. With --database the rows are in
PostgreSQL, in the empty databases URL_full and URL_empty. Results of another database in the file stay.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx2
from sqlalchemy import Connection, insert

from bananastand.banana_api.usage import get_usage
from bananastand.platform.http.app import PlatformServer
from bananastand.platform.http.banana_runtime import PlatformRuntime
from bananastand.platform.platform import Platform
from bananastand.platform.reclaiming import prune
from bananastand.platform.settings import Settings
from bananastand.platform.store import tables
from bananastand.platform.store.projects import Project

from ._command import parser, publish
from ._machine import commit, processor

DAY = 86_400.0
BATCH = 10_000  # rows
BUILDS = 3  # of a project
Act = Callable[[], Awaitable[Any]]


def main() -> None:
    arguments = parser(__doc__, "history")
    arguments.add_argument("--calls", type=int, default=1_000_000)
    arguments.add_argument("--projects", type=int, default=1000)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--database", help="URL of a PostgreSQL database")
    options = arguments.parse_args()
    found = asyncio.run(measure(options))
    sys.argv[:] = ["URL" if word == options.database else word for word in sys.argv]  # it has a password
    known = json.loads(options.out.read_text()) if options.out.exists() else {}
    report = {
        "what": "median milliseconds, with the finished calls in the database and without them, and their ratio",
        "machine": {"processor": processor(), "python": sys.version.split()[0], "commit": commit()},
        "calls": options.calls,
        "projects": options.projects,
        "databases": {**known.get("databases", {}), "PostgreSQL" if options.database else "SQLite": found},
    }
    publish(report, options)


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both platforms, an operation of the one after the same of the other."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running(Path(folder, "empty"), options, calls=0) as empty,
            running(Path(folder, "full"), options, calls=options.calls) as full,
        ):
            acts = [await acts_of(platform) for platform in (empty, full)]
            times: dict[str, tuple[list[float], list[float]]] = {}
            for _ in range(options.rounds):
                for name in acts[0]:
                    for column, act in enumerate((acts[0][name], acts[1][name])):
                        began = time.perf_counter()
                        await act()
                        times.setdefault(name, ([], []))[column].append(1000 * (time.perf_counter() - began))
            found = {name: summary(*columns) for name, columns in times.items()}
    for name, row in found.items():
        print(name, row, file=sys.stderr)
    return found


def summary(empty: list[float], full: list[float]) -> dict[str, float]:
    """Return the medians and their ratio."""
    medians = statistics.median(empty), statistics.median(full)
    return {
        "without": round(medians[0], 3), "with": round(medians[1], 3), "ratio": round(medians[1] / medians[0], 2)
    }  # fmt: skip


@asynccontextmanager
async def running(data: Path, options: argparse.Namespace, calls: int) -> Any:
    """A platform with projects, builds, finished calls and their usage."""
    settings, began = settings_of(data, options, calls), time.perf_counter()
    await fill(Platform(settings, build_nothing), options.projects, calls)
    print(f"{calls} calls after {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    platform = Platform(settings, build_nothing)
    await platform.start()
    try:
        yield platform
    finally:
        await platform.close(0.0)


async def fill(platform: Platform, count: int, calls: int) -> None:
    """Write projects, builds, usage and finished calls."""
    projects, now = list[Project](), time.time()
    for number in range(count):
        projects.append(platform.projects.create(f"project-{number}"))
        if number % 20 == 0:
            await platform.store.flush()
    builds = [
        {"id": str(uuid.uuid4()), "number": number, "project_id": projects[number % count].id, "state": "live",
         "source": "https://example.com/app.git", "environment": {}, "secrets": {}, "attempts": 1, "created": now,
         "started": now, "finished": now}
        for number in range(BUILDS * count)
    ]  # fmt: skip
    await platform.store.write(lambda connection: connection.execute(insert(tables.builds), builds).rowcount)
    for rows, usage in history(projects, calls):
        await platform.store.write(lambda connection, rows=rows, usage=usage: add(connection, rows, usage))
    await platform.close(0.0)


def settings_of(data: Path, options: argparse.Namespace, calls: int) -> Settings:
    """Return the settings of one of the two platforms."""
    if options.database is None:
        return Settings(data=data, keep_results=30 * DAY)
    return Settings(data=data, keep_results=30 * DAY, database=f"{options.database}_{'full' if calls else 'empty'}")


async def build_nothing(request: Any) -> Any:
    raise NotImplementedError


def add(connection: Connection, rows: list[dict[str, Any]], usage: list[dict[str, Any]]) -> None:
    """Insert finished calls and what they used."""
    if rows:
        connection.execute(insert(tables.calls), rows)
    if usage:
        connection.execute(insert(tables.usage), usage)


def history(projects: list[Project], calls: int) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Yield the usage of 30 days, which both platforms have, and calls that ended in the last day, some at a time."""
    days = [time.strftime("%Y-%m-%d", time.gmtime(time.time() - day * DAY)) for day in range(1, 31)]
    usage = [
        {"day": day, "model_key": project.model_key, "runs": 33, "succeeded": 33, "failed": 0,
         "compute_seconds": 3.0, "cold_starts": 1}
        for project in projects for day in days
    ]  # fmt: skip
    now, headers = time.time(), (("content-type", "application/json"),)
    yield [], usage
    for first in range(0, calls, BATCH):
        rows = list[dict[str, Any]]()
        for number in range(first, min(first + BATCH, calls)):
            moment, id = now - DAY * (1 - number / calls), str(uuid.UUID(int=number))
            rows.append({
                "id": f"call_{id}", "run_id": id, "project_id": projects[number % len(projects)].id, "method": "POST",
                "route": "/", "state": "succeeded", "attempts": 1, "cold": False, "created": moment, "begun": moment,
                "finished": moment + 0.1, "status": 200, "answer_headers": headers, "answer": b'{"answer": "42"}',
                "request": f"digest of {id}", "alone": False,
            })  # fmt: skip
        yield rows, []


async def acts_of(platform: Platform) -> dict[str, Act]:
    """Return what is measured, by name."""
    server = PlatformServer(platform, {})
    key = {"x-banana-api-key": platform.keys.create("benchmark")[1]}
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=server), base_url="http://localhost", headers=key)
    project = platform.projects.list()[len(platform.projects.list()) // 2]
    runtime = PlatformRuntime(platform)
    known = await platform.submit(project, "/", b"{}")
    await known.outcome()

    def get(path: str) -> Act:
        async def send() -> None:
            (await client.get(path)).raise_for_status()

        return send

    async def submit() -> None:
        await (await platform.submit(project, "/", b"{}")).outcome()

    async def repeat() -> None:
        await (await platform.submit(project, "/", b"{}", request_id=str(uuid.uuid4()))).outcome()

    async def find() -> None:
        await platform.dispatcher.find(known.call.id)

    async def usage() -> None:
        get_usage(runtime, cast(Any, SimpleNamespace(parameters={})))

    async def sweep() -> None:
        await platform.calls.forget_before(time.time() - 20 * DAY)

    async def page() -> None:
        server._page._rendered.clear()  # it is rendered at most once a second
        await status()

    status = get("/?page=3")
    return {
        "a call": submit,
        "a call with a request id": repeat,
        "find a call": find,
        "list, 200 projects": get("/stand/v1/projects?limit=200"),
        "a project": get(f"/stand/v1/projects/{project.name}"),
        "its builds": get(f"/stand/v1/projects/{project.name}/builds"),
        "the status page": page,
        "metrics": get("/metrics"),
        "usage of 30 days": usage,
        "retention, nothing to delete": sweep,
        "prune": lambda: prune(platform),
    }


if __name__ == "__main__":
    os.environ.setdefault("BANANASTAND_ISOLATION", "none")
    main()
