"""API keys (D:715-873): create, list, detail, update, delete."""

from __future__ import annotations

from itertools import islice
from typing import Any

from bananastand.contracts.response import ApiResponse

from ..kernel.world import World
from . import state

__all__ = ["create_key", "delete_key", "get_key", "list_keys", "mint", "update_key"]

USAGE_LOG = 100  # usages that a detail shows
CLEARED = ("webhook_url", "webhook_secret")


def mint(hexadecimal: str) -> str:
    """A key: pb_ and 32 hexadecimal digits, read as opaque."""
    return f"pb_{hexadecimal}"


def create_key(world: World, body: dict[str, Any]) -> dict[str, Any]:
    """A new key, which is shown in full this once (D:741)."""
    key = mint(world.ids.hex(32))
    webhook = {name: body.get(name) or None for name in CLEARED}
    row = state.add_key(world, key, body["name"], quota=body.get("quota"), **webhook)
    world.admit(state.KEY_KIND, key)
    return _serialize(key, row)


def list_keys(world: World) -> list[dict[str, Any]]:
    """All keys, masked, newest first."""
    return [_serialize(state.mask(key), row) for key, row in reversed(state.keys(world).items())]


def get_key(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """One key, masked, and its latest usage, newest first. Raises ProviderError: key_not_found."""
    key, row = state.find_key(world, parameters["key"])
    log = [
        {**{name: used[name] for name in ("id", "task_id", "endpoint")}, "created_at": state.iso(used["created_at"])}
        for used in islice(state.usage_of(world, key), USAGE_LOG)
    ]
    return {**_serialize(state.mask(key), row), "usage_log": log}


def update_key(world: World, parameters: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Change what is given and not null; an empty webhook_url or webhook_secret is removed (D:839-840).

    Raises ProviderError: key_not_found.
    """
    key, row = state.find_key(world, parameters["key"])
    for name in ("quota_remaining", "quota_total", "active", *CLEARED):
        if body.get(name) is not None:
            row[name] = body[name] if name not in CLEARED else body[name] or None
    return _serialize(state.mask(key), row)


def delete_key(world: World, parameters: dict[str, Any]) -> ApiResponse:
    """The key and its usage log are gone (D:861). Raises ProviderError: key_not_found."""
    key, _ = state.find_key(world, parameters["key"])
    state.remove_key(world, key)
    return ApiResponse(None, 204)


def _serialize(key: str, row: state.Row) -> dict[str, Any]:
    """Return a key's record without its webhook_secret."""
    names = ("name", "quota_remaining", "quota_total", "total_used", "active")
    fields = {name: row[name] for name in names}
    return {"key": key, **fields, "created_at": state.iso(row["created_at"]), "webhook_url": row["webhook_url"]}
