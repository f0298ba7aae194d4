"""PaperBanana's part of a world: keys, usage, tasks and settings.

Keys are rows by their full value; which of them lead to this world is the kernel's matter. Pictures are not kept: a row
holds what its picture was drawn from, and the same inputs give the same picture.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.world import World

__all__ = [
    "ADMIN_KIND",
    "KEY_KIND",
    "KEYS",
    "Row",
    "SETTINGS",
    "TASKS",
    "add_key",
    "find_key",
    "iso",
    "keep_pdf",
    "keep_task",
    "keys",
    "mask",
    "number",
    "remove_key",
    "setting",
    "task_of",
    "tasks",
    "usage",
    "usage_of",
    "use",
]

KEY_KIND, ADMIN_KIND = "paperbanana", "paperbanana-admin"
KEYS, USAGE, TASKS, COUNTS = "paperbanana.keys", "paperbanana.usage", "paperbanana.tasks", "paperbanana.counts"
MASK_LENGTH = 9  # characters of a key that its mask shows (D:773)
TASKS_KEPT = 10_000  # then the oldest that are over are forgotten
PDF_BYTES = 64 * 2**20  # of PDFs that are kept; then the oldest are forgotten
SETTINGS: dict[str, Any] = {
    "paperbanana.seconds": [0.0, 0.0],  # that a task takes, from and to
    "paperbanana.webhook_waits": [5, 15, 60],
    "paperbanana.image_provider": "kie_imagen",
    "paperbanana.admin_key_configured": True,
    "paperbanana.quota_blocks_polling": False,
}

Row = dict[str, Any]


def setting(world: World, name: str) -> Any:
    """A setting by its name without `paperbanana.`, or its default."""
    return world.settings.get(f"paperbanana.{name}", SETTINGS[f"paperbanana.{name}"])


def iso(seconds: float | None) -> str | None:
    """A moment as the provider writes it, such as 2026-02-15T10:30:00+00:00."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def number(world: World, what: str) -> int:
    """The next of a row of numbers that begins with 1."""
    counts = world.table(COUNTS)
    counts[what] = counts.get(what, 0) + 1
    return counts[what]


def keys(world: World) -> dict[str, Row]:
    """The API keys by their full value, oldest first."""
    return world.table(KEYS)


def mask(key: str) -> str:
    """The beginning of a key, as lists show it (D:773)."""
    return f"{key[:MASK_LENGTH]}..."


def find_key(world: World, key_or_mask: str) -> tuple[str, Row]:
    """A key by its full value (D:800) or by its mask, if that fits one key only (D:846).

    Raises ProviderError: key_not_found.
    """
    is_mask = key_or_mask.endswith("...") and len(key_or_mask) == MASK_LENGTH + 3
    prefix = key_or_mask.removesuffix("...") if is_mask else None
    encoded = key_or_mask.encode("utf-8", "surrogatepass")
    found = [
        (key, row)
        for key, row in keys(world).items()
        if hmac.compare_digest(key.encode(), encoded) or (prefix is not None and key.startswith(prefix))
    ]
    if len(found) != 1:
        raise ProviderError("key_not_found")
    return found[0]


def add_key(world: World, key: str, name: str, *, quota: int | None = None, **more: Any) -> Row:
    """A new key; without a quota it is unlimited (D:725)."""
    row: Row = {
        "number": number(world, "keys"),
        "name": name,
        "quota_remaining": quota,
        "quota_total": quota,
        "total_used": 0,
        "active": True,
        "created_at": world.clock.now(),
        "webhook_url": None,
        "webhook_secret": None,
        **more,
    }
    keys(world)[key] = row
    return row


def remove_key(world: World, key: str) -> None:
    """A key and its usage log are gone (D:861); its tasks stay in the history."""
    del keys(world)[key]
    log = usage(world)
    for entry in [entry for entry, row in log.items() if row["api_key"] == key]:
        del log[entry]
    if key in world.credentials[KEY_KIND][1:]:  # the first one is the world's own, and comes back with a reset
        world.expel(KEY_KIND, key)


def usage(world: World) -> dict[str, Row]:
    """What was accepted, oldest first."""
    return world.table(USAGE)


def usage_of(world: World, key: str) -> Iterator[Row]:
    """What was accepted for one key, newest first."""
    return (row for row in reversed(list(usage(world).values())) if row["api_key"] == key)


def use(world: World, key: str, endpoint: str, task_id: str) -> None:
    """Take one unit of a key's quota and note what for (D:36)."""
    row = keys(world)[key]
    if row["quota_remaining"] is not None:
        row["quota_remaining"] -= 1
    row["total_used"] += 1
    entry = number(world, "usage")
    usage(world)[str(entry)] = {
        "id": entry,
        "api_key": key,
        "task_id": task_id,
        "endpoint": endpoint,
        "created_at": world.clock.now(),
    }


def tasks(world: World) -> dict[str, Row]:
    """The tasks by id, oldest first."""
    return world.table(TASKS)


def task_of(world: World, key: str | None, task_id: str) -> Row:
    """A task of this key. Raises ProviderError: task_not_found, for another key's task as well."""
    row = tasks(world).get(task_id)
    if row is None or row["api_key"] != key:
        raise ProviderError("task_not_found")
    return row


def keep_task(world: World, row: Row) -> None:
    """Keep a task, and forget the oldest that is over where there are too many."""
    rows = tasks(world)
    rows[row["task_id"]] = row
    if len(rows) > TASKS_KEPT:
        finished = next((name for name, task in rows.items() if task["status"] in ("completed", "failed")), None)
        if finished is not None:
            del rows[finished]


def keep_pdf(world: World, task_id: str, pdf: bytes) -> str:
    """Keep a PDF; its path in the history (D:237)."""
    sizes = {name: len(blob) for name, blob in world.blobs.items() if name.startswith("paperbanana/")}
    for name in list(sizes):
        if sum(sizes.values()) + len(pdf) <= PDF_BYTES:
            break
        del world.blobs[name], sizes[name]
    path = f"paperbanana/{task_id}/input.pdf"
    world.blobs[path] = pdf
    return path
