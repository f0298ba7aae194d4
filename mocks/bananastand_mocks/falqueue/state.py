"""The queue's part of a world: requests by id, uploads by path, settings.

Pictures are not stored: a request holds the recipes of its pictures, and the same recipe gives the same file.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.world import World

__all__ = [
    "Row",
    "SETTINGS",
    "application_of",
    "find_request",
    "iso",
    "join_parts",
    "requests",
    "setting",
    "store_part",
    "store_request",
    "store_upload",
    "uploads",
]

REQUESTS, UPLOADS = "falqueue.requests", "falqueue.uploads"
MOST_REQUESTS = 10_000  # then the oldest completed one is forgotten
UPLOAD_BYTES = 256 * 2**20  # of all uploads together; then the oldest are forgotten
NAMESPACES = ("workflows", "comfy")  # whose application has a third part
SETTINGS: dict[str, Any] = {
    "falqueue.seconds": [0.0, 0.0],  # in the queue, and on the runner
    "falqueue.webhook_waits": [7.0 * 2**retry for retry in range(10)],  # ten retries in two hours
    "falqueue.any_model": True,  # whether models that the catalogue lacks are accepted
}

Row = dict[str, Any]


def setting(world: World, name: str) -> Any:
    """Return a setting by its name without `falqueue.`, or its default."""
    return world.settings.get(f"falqueue.{name}", SETTINGS[f"falqueue.{name}"])


def iso(seconds: float) -> str:
    """Return a moment as fal's logs have it, such as 2026-01-01T00:00:00.000000Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def application_of(model: str) -> str:
    """Return the owner and the application of a model id, which the addresses of its requests begin with.

    Raises:
        ProviderError: unknown_application, for an id without an application.
    """
    parts = model.split("/")
    length = 3 if parts[0] in NAMESPACES else 2
    if len(parts) < length or not all(parts):
        raise ProviderError("unknown_application", parts[-1])
    return "/".join(parts[:length])


def requests(world: World) -> dict[str, Row]:
    """Return the requests by id, oldest first."""
    return world.table(REQUESTS)


def find_request(world: World, application: str, request_id: str) -> Row:
    """Return a request of this application. Raises ProviderError: request_not_found."""
    row = requests(world).get(request_id)
    if row is None or row["application"] != application:
        raise ProviderError("request_not_found")
    return row


def store_request(world: World, row: Row) -> None:
    """Store a request, and forget the oldest completed one where there are too many."""
    rows = requests(world)
    rows[row["request_id"]] = row
    if len(rows) > MOST_REQUESTS:
        completed = next((name for name, other in rows.items() if other["state"] == "COMPLETED"), None)
        if completed is not None:
            del rows[completed]


def uploads(world: World) -> dict[str, Row]:
    """Return the uploads by path, oldest first; `received` says whether the bytes are there."""
    return world.table(UPLOADS)


def store_upload(world: World, path: str, content: bytes) -> None:
    """Store the bytes of an upload; the oldest uploads make room for them."""
    _make_room(world, path, len(content))
    uploads(world)[path]["received"] = True
    world.blobs[f"falqueue/{path}"] = content


def store_part(world: World, path: str, number: int, content: bytes) -> None:
    """Store a part of an upload. Raises ProviderError: too_large."""
    parts = uploads(world)[path]["parts"]
    if sum(size for other, size in parts.items() if other != str(number)) + len(content) > UPLOAD_BYTES:
        raise ProviderError("too_large", f"an upload has at most {UPLOAD_BYTES >> 20} MB")
    _make_room(world, path, len(content))
    parts[str(number)] = len(content)
    world.blobs[f"falqueue/{path}/{number}"] = content


def join_parts(world: World, path: str, numbers: list[int]) -> None:
    """Make the parts of an upload its content."""
    upload = uploads(world)[path]
    content = b"".join(world.blobs[f"falqueue/{path}/{number}"] for number in numbers)
    for number in upload["parts"]:
        world.blobs.pop(f"falqueue/{path}/{number}", None)
    upload["parts"] = {}
    store_upload(world, path, content)


def _make_room(world: World, path: str, size: int) -> None:
    """Forget the oldest other uploads until so many bytes fit."""
    rows = uploads(world)
    for other in [other for other in rows if other != path]:
        used = sum(len(blob) for name, blob in world.blobs.items() if name.startswith("falqueue/"))
        if used + size <= UPLOAD_BYTES:
            return
        for part in ("", *(f"/{number}" for number in rows[other].get("parts", ()))):
            world.blobs.pop(f"falqueue/{other}{part}", None)
        del rows[other]
