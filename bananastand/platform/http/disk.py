"""The routes of the platform's own API for disk space: its use, and pruning."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from ..platform import Platform
from ..reclaiming import disk_of, prune
from ..store.retention import Expendable

__all__ = ["add_disk_routes"]


def add_disk_routes(app: FastAPI, platform: Platform, prefix: str) -> None:
    """Add GET disk, and POST prune with `dry_run`."""

    @app.get(f"{prefix}/disk")
    async def disk() -> Any:
        parts, free, items = await disk_of(platform)
        return {
            "data": str(platform.settings.data),
            "parts": [
                {"name": part.name, "what": part.what, "entries": part.entries, "bytes": part.size} for part in parts
            ],
            "total": sum(part.size for part in parts),
            "free": free,
            "budget": platform.settings.disk_budget,
            "reclaimable": sum(item.size for item in items),
        }

    @app.post(f"{prefix}/prune")
    async def prune_now(dry_run: bool = False) -> Any:
        items = await prune(platform, dry_run=dry_run)
        return {"removed": [_item(platform, item) for item in items], "bytes": sum(item.size for item in items)}


def _item(platform: Platform, item: Expendable) -> dict[str, Any]:
    path = item.path.relative_to(platform.settings.data)
    return {"kind": item.kind, "path": str(path), "reason": item.reason, "bytes": item.size}
