"""Things of the stand as its own API shows them: plain JSON. Secrets are never among it."""

from __future__ import annotations

import time
from typing import Any

from bananastand import __version__

from ..platform import Platform
from ..replicas.replica import Replica
from ..store.builds import Build
from ..store.keys import Key, api_token
from ..store.logs import iso
from ..store.projects import SETTINGS, Project

__all__ = ["build", "key", "new_key", "project", "replica", "status"]


def project(stand: Platform, row: Project, url: str, builds: list[Build] | None = None) -> dict[str, Any]:
    """A project, what runs of it and what waits for it. builds: its newest, where they are at hand."""
    line, replicas = stand.dispatcher.line(row.id), stand.pool.of_project(row.id)
    live = stand.builds.deployment(row.live) if row.live else None
    return {
        "id": row.id,
        "name": row.name,
        "model_key": row.model_key,
        "url": url,
        **{name: getattr(row, name) for name in SETTINGS},
        "takes": row.concurrency or stand.builds.takes(row.live),
        "deployment": row.live,
        "kind": live.launch.kind if live is not None else None,
        "replicas": len(replicas),
        "ready": sum(each.state == "ready" for each in replicas),
        "queued": len(line.waiting),
        "running": len(line.at_work),
        "problem": stand.problem(row, builds),
        "created": iso(row.created),
    }


def build(stand: Platform, row: Build, url: str) -> dict[str, Any]:
    """A build; the names of its secrets, not their values."""
    owner = stand.projects.get(row.project_id)
    return {
        "id": row.id,
        "number": row.number,
        "project": owner.name if owner is not None else None,
        "model_key": owner.model_key if owner is not None else None,
        "state": row.state,
        "live": owner is not None and owner.live == row.id,
        "error": (row.error or "").partition("\n")[0] or None,
        "advice": (row.error or "").partition("\n")[2] or None,
        "source": stand.source_of(row),
        "builder": row.builder,
        "as_of": row.as_of,
        "environment": row.environment,
        "secrets": sorted(row.secrets),
        "created": iso(row.created),
        "started": iso(row.started) if row.started else None,
        "finished": iso(row.finished) if row.finished else None,
        "url": url,
    }


def replica(each: Replica) -> dict[str, Any]:
    """A replica."""
    return {
        "id": each.id,
        "deployment": each.deployment.id,
        "state": each.state,
        "readiness": each.startup_state,
        "port": each.address[1] if each.address is not None else None,
        "pid": each.pid,
        "card": each.gpu,
        "running": each.inflight,
        "answered": each.completed_calls,
        "memory_mb": round(each.memory_bytes / 2**20, 1),
        "age_seconds": round(time.monotonic() - each.started_at, 1),
        "start_seconds": round(each.startup_seconds, 3) if each.startup_seconds is not None else None,
    }


def key(row: Key) -> dict[str, Any]:
    """A key without its secret."""
    revoked = iso(row.revoked) if row.revoked is not None else None
    return {"id": row.id, "name": row.name, "created": iso(row.created), "revoked": revoked}


def new_key(row: Key, secret: str) -> dict[str, Any]:
    """The one answer that has the secret in it."""
    return {**key(row), "key": secret, "api_token": api_token(secret)}


def status(stand: Platform) -> dict[str, Any]:
    """The stand itself."""
    return {
        "version": __version__,
        "data": str(stand.settings.data),
        "started": iso(stand.began),
        "projects": len(stand.projects.list()),
        "replicas": len(stand.pool.replicas),
        "queued": sum(len(each.waiting) for each in stand.dispatcher.lines.values()),
        "running": sum(len(each.at_work) for each in stand.dispatcher.lines.values()),
        "cards": list(stand.settings.gpus),
    }
