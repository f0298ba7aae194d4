"""The JSON of the platform's own API for projects, builds, replicas and keys. It never contains a secret's value."""

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


def project(platform: Platform, row: Project, url: str, builds: list[Build] | None = None) -> dict[str, Any]:
    """Return a project with its replicas and queue; `builds` are its newest, if the caller has them already."""
    queue, replicas = platform.dispatcher.queue(row.id), platform.pool.of_project(row.id)
    live = platform.builds.deployment(row.live) if row.live else None
    return {
        "id": row.id,
        "name": row.name,
        "model_key": row.model_key,
        "url": url,
        **{name: getattr(row, name) for name in SETTINGS},
        "takes": platform.builds.concurrency_of(row),
        "deployment": row.live,
        "kind": live.launch.kind if live is not None else None,
        "replicas": len(replicas),
        "ready": sum(replica.state == "ready" for replica in replicas),
        "queued": len(queue.waiting),
        "running": len(queue.running),
        "problem": platform.problem(row, builds),
        "created": iso(row.created),
    }


def build(platform: Platform, row: Build, url: str) -> dict[str, Any]:
    """Return a build, with the names of its secrets and not their values."""
    owner = platform.projects.get(row.project_id)
    return {
        "id": row.id,
        "number": row.number,
        "project": owner.name if owner is not None else None,
        "model_key": owner.model_key if owner is not None else None,
        "state": row.state,
        "live": owner is not None and owner.live == row.id,
        "error": (row.error or "").partition("\n")[0] or None,
        "advice": (row.error or "").partition("\n")[2] or None,
        "source": platform.source_of(row),
        "builder": row.builder,
        "as_of": row.as_of,
        "environment": row.environment,
        "secrets": sorted(row.secrets),
        "created": iso(row.created),
        "started": iso(row.started) if row.started else None,
        "finished": iso(row.finished) if row.finished else None,
        "url": url,
    }


def replica(row: Replica) -> dict[str, Any]:
    """Return a replica."""
    return {
        "id": row.id,
        "deployment": row.deployment.id,
        "state": row.state,
        "readiness": row.startup_state,
        "node": row.node or None,
        "address": f"{row.address[0]}:{row.address[1]}" if row.address is not None else None,
        "port": row.address[1] if row.address is not None else None,
        "pid": row.pid,
        "card": row.gpu,
        "running": row.inflight,
        "answered": row.completed_calls,
        "memory_mb": round(row.memory_bytes / 2**20, 1),
        "age_seconds": round(time.monotonic() - row.started_at, 1),
        "start_seconds": round(row.startup_seconds, 3) if row.startup_seconds is not None else None,
    }


def key(row: Key) -> dict[str, Any]:
    """Return a key without its secret."""
    revoked = iso(row.revoked) if row.revoked is not None else None
    return {"id": row.id, "name": row.name, "created": iso(row.created), "revoked": revoked}


def new_key(row: Key, secret: str) -> dict[str, Any]:
    """Return a new key with its secret: the one answer that contains it."""
    return {**key(row), "key": secret, "api_token": api_token(secret)}


def status(platform: Platform) -> dict[str, Any]:
    """Return the platform's version, directory and totals."""
    return {
        "version": __version__,
        "data": str(platform.settings.data),
        "started": iso(platform.began),
        "projects": len(platform.projects.list()),
        "replicas": len(platform.pool.replicas),
        "queued": sum(len(queue.waiting) for queue in platform.dispatcher.queues.values()),
        "running": sum(len(queue.running) for queue in platform.dispatcher.queues.values()),
        "cards": list(platform.settings.gpus),
    }
