"""The status page: one HTML document without script, drawn here, dark or light as its reader's system is."""

from __future__ import annotations

import html
import time
from typing import Any

from .builds import Build
from .logs import plain
from .projects import Project
from .stand import Stand

__all__ = ["HEADERS", "status_page"]

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
BUILDS = 5
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


def status_page(stand: Stand, address: str) -> str:
    """All projects, their replicas and last builds. What others have named is escaped."""
    projects = stand.projects.list()
    parts = [_project(stand, each, address) for each in projects] or [
        "<p>Nothing is deployed yet. In a folder with an <code>app.py</code>: <code>bananastand deploy .</code></p>"
    ]
    running = sum(len(each.at_work) for each in stand.dispatcher.lines.values())
    queued = sum(len(each.waiting) for each in stand.dispatcher.lines.values())
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<meta http-equiv=refresh content=5><title>Bananastand</title><style>{STYLE}</style>"
        f"<h1>Bananastand</h1><p>{_count(len(projects), 'project')}, {_count(len(stand.pool.replicas), 'replica')}, "
        f"{_count(running, 'call')} at work, {queued} waiting. Up for {_span(time.time() - stand.began)}. "
        f"Banana's APIs: <code>{_(address)}/banana</code>, <code>{_(address)}/lowcodeapi/bananadev</code>; figures: "
        "<code>/metrics</code>.</p>" + "".join(parts) + "</html>"
    )


def _project(stand: Stand, project: Project, address: str) -> str:
    line = stand.dispatcher.line(project.id)
    problem = stand.problem(project) if project.live else None  # the table below has the error of a failed build
    paragraph = f"<p class=failed>{_(problem)}</p>" if problem is not None else ""
    return (
        f"<h2>{_(project.name)}</h2><p><code>{_(address)}/banana/run/{_(project.name)}</code> · model key "
        f"<code>{_(project.model_key)}</code> · {project.min_replicas} to {project.max_replicas} replicas, "
        f"idle after {project.idle_timeout} s · {_count(len(line.at_work), 'call')} at work, "
        f"{len(line.waiting)} waiting</p>"
        f"{paragraph}{_replicas(stand, project)}{_builds(stand, project)}"
    )


def _replicas(stand: Stand, project: Project) -> str:
    rows = [
        (
            f"<code>{_(each.id)}</code>", _state(each.state), f"<code>{_(each.deployment.id[:8])}</code>",
            _(each.waits_for), str(each.inflight), f"{each.memory / 2**20:.0f} MiB", _(each.gpu or "none"),
            _span(time.monotonic() - each.started),
        )
        for each in stand.pool.of(project.id)
    ]  # fmt: skip
    return _table(("replica", "state", "version", "readiness", "calls", "memory", "card", "age"), rows)


def _builds(stand: Stand, project: Project) -> str:
    rows = [
        (
            f"<code>{_(each.id[:8])}</code>", _state(each.state) + (" ←" if each.id == project.live else ""),
            f"<code>{_(stand.source_of(each)[:120])}</code>", _span(time.time() - each.created) + " ago",
            _error(each),
        )
        for each in stand.builds.list(project)[:BUILDS]
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
