"""The disk of a data directory over our own HTTP API: what is taken, and what is removed when it is asked for."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from ..platform import Platform
from ..reclaiming import disk_of, prune
from ..store.retention import Item

__all__ = ["add_disk_routes"]


def add_disk_routes(app: FastAPI, platform: Platform, prefix: str) -> None:
    """GET disk, and POST prune with `dry_run`."""

    @app.get(f"{prefix}/disk")
    async def disk() -> Any:
        parts, free, items = await disk_of(platform)
        return {
            "data": str(platform.settings.data),
            "parts": [
                {"name": each.name, "what": each.what, "entries": each.entries, "bytes": each.size} for each in parts
            ],
            "total": sum(each.size for each in parts),
            "free": free,
            "budget": platform.settings.disk_budget,
            "reclaimable": sum(each.size for each in items),
        }

    @app.post(f"{prefix}/prune")
    async def prune_now(dry_run: bool = False) -> Any:
        items = await prune(platform, dry_run=dry_run)
        return {"removed": [_item(platform, each) for each in items], "bytes": sum(each.size for each in items)}


def _item(platform: Platform, item: Item) -> dict[str, Any]:
    path = item.path.relative_to(platform.settings.data)
    return {"kind": item.kind, "path": str(path), "reason": item.reason, "bytes": item.size}
