"""The status page: one HTML document without script, drawn here, dark or light as its reader's system is."""

from __future__ import annotations

import asyncio
import html
import time
from dataclasses import dataclass
from typing import Any

from ..platform import Platform
from ..replicas.replica import Replica
from ..store.builds import Build
from ..store.logs import plain
from ..store.projects import Project

__all__ = ["HEADERS", "StatusPage"]

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
BUILDS = 5
KEPT = 1.0  # seconds; its readers ask again after five
BATCH = 20  # projects that are looked at before calls have their turn
STYLE = """
:root{color-scheme:light dark;--ground:#fffdf5;--ink:#26221a;--soft:#7a7365;--line:#e6dfca;--mark:#8a6a00;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ground:#1b1914;--ink:#efe9d9;--soft:#a39a86;--line:#39342a;--mark:#f2c94c;
--bad:#ff8a80}}
body{margin:2rem auto;max-width:62rem;padding:0 1rem;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.4rem;margin:0 0 .2rem}h2{font-size:1.1rem;margin:2rem 0 .3rem}
p{margin:.2rem 0;color:var(--soft)}table{border-collapse:collapse;width:100%;margin:.5rem 0}
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:500}code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}
.live,.ready{color:var(--mark);font-weight:600}.failed{color:var(--bad);font-weight:600}
"""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A project as it is at one moment."""

    project: Project
    waiting: int
    at_work: int
    problem: str | None
    replicas: tuple[Replica, ...]
    builds: tuple[tuple[Build, str], ...]  # each with its source


class StatusPage:
    """The page, drawn at most once in KEPT seconds however many look at it: drawing takes time that calls would lack.

    What it shows is read on the event loop, and drawn on another thread.
    """

    def __init__(self, stand: Platform) -> None:
        self._stand = stand
        self._drawn: dict[str, tuple[float, asyncio.Task[str]]] = {}

    async def html(self, address: str) -> str:
        """All projects, their replicas and last builds. What others have named is escaped."""
        now = time.monotonic()
        self._drawn = {key: each for key, each in self._drawn.items() if now - each[0] < KEPT or not each[1].done()}
        if address not in self._drawn:
            self._drawn[address] = (now, asyncio.create_task(self._draw(address), name="status page"))
        return await asyncio.shield(self._drawn[address][1])

    async def _draw(self, address: str) -> str:
        builds, shown = self._stand.builds.latest(BUILDS), list[_Shown]()
        for number, project in enumerate(self._stand.projects.list(), 1):
            if number % BATCH == 0:
                await asyncio.sleep(0)  # calls go on
            shown.append(_look(self._stand, project, builds.get(project.id, [])))
        up, replicas = time.time() - self._stand.began, len(self._stand.pool.replicas)
        return await asyncio.to_thread(_page, shown, address, up, replicas)


def _look(stand: Platform, project: Project, builds: list[Build]) -> _Shown:
    line = stand.dispatcher.line(project.id)
    problem = stand.problem(project, builds) if project.live else None  # a failed build's error is in the table
    sources = tuple((each, stand.source_of(each)) for each in builds)
    return _Shown(
        project, len(line.waiting), len(line.at_work), problem, tuple(stand.pool.of_project(project.id)), sources
    )


def _page(shown: list[_Shown], address: str, up: float, replicas: int) -> str:
    parts = list[str]()
    for each in shown:
        parts.append(_project(each, address))
        time.sleep(0.0001)  # lets go of the interpreter: the event loop has calls to answer
    parts = parts or [
        "<p>Nothing is deployed yet. In a folder with an <code>app.py</code>: <code>bananastand deploy .</code></p>"
    ]
    running, queued = sum(each.at_work for each in shown), sum(each.waiting for each in shown)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<meta http-equiv=refresh content=5><title>Bananastand</title><style>{STYLE}</style>"
        f"<h1>Bananastand</h1><p>{_count(len(shown), 'project')}, {_count(replicas, 'replica')}, "
        f"{_count(running, 'call')} at work, {queued} waiting. Up for {_span(up)}. "
        f"Banana's APIs: <code>{_(address)}/banana</code>, <code>{_(address)}/lowcodeapi/bananadev</code>; figures: "
        "<code>/metrics</code>.</p>" + "".join(parts) + "</html>"
    )


def _project(shown: _Shown, address: str) -> str:
    project = shown.project
    paragraph = f"<p class=failed>{_(shown.problem)}</p>" if shown.problem is not None else ""
    return (
        f"<h2>{_(project.name)}</h2><p><code>{_(address)}/banana/run/{_(project.name)}</code> · model key "
        f"<code>{_(project.model_key)}</code> · {project.min_replicas} to {project.max_replicas} replicas, "
        f"idle after {project.idle_timeout} s · {_count(shown.at_work, 'call')} at work, "
        f"{shown.waiting} waiting</p>"
        f"{paragraph}{_replicas(shown)}{_builds(shown)}"
    )


def _replicas(shown: _Shown) -> str:
    rows = [
        (
            f"<code>{_(each.id)}</code>", _state(each.state), f"<code>{_(each.deployment.id[:8])}</code>",
            _(each.startup_state), str(each.inflight), f"{each.memory_bytes / 2**20:.0f} MiB", _(each.gpu or "none"),
            _span(time.monotonic() - each.started_at),
        )
        for each in shown.replicas
    ]  # fmt: skip
    return _table(("replica", "state", "version", "readiness", "calls", "memory", "card", "age"), rows)


def _builds(shown: _Shown) -> str:
    rows = [
        (
            f"<code>{_(each.id[:8])}</code>", _state(each.state) + (" ←" if each.id == shown.project.live else ""),
            f"<code>{_(source[:120])}</code>", _span(time.time() - each.created) + " ago",
            _error(each),
        )
        for each, source in shown.builds
    ]  # fmt: skip
    return _table(("build", "state", "source", "made", "what went wrong"), rows)


def _error(build: Build) -> str:
    """What went wrong, what to do about it, and where the rest is."""
    if build.error is None:
        return ""
    reason, _newline, step = build.error.partition("\n")
    advised = f"<br>{_(step[:600])}" if step else ""
    return f"{_(reason[:500])}{advised}<br><code>bananastand logs --build {_(build.id)}</code>"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    body = "".join("<tr>" + "".join(f"<td>{cell}" for cell in row) for row in rows)
    return f"<table><tr>{''.join(f'<th>{head}' for head in heads)}{body}</table>"


def _state(state: str) -> str:
    return f"<span class={_(state)}>{_(state)}</span>"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _span(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _(value: Any) -> str:
    return html.escape(plain(str(value)), quote=True)
