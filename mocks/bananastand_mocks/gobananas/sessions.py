"""Sessions (B:192-220): which images were made in one go.

Each key has one open session; it ends after half an hour without anything made in it.
"""

from __future__ import annotations

import hashlib
from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.call import ApiCall
from ..kernel.world import World
from .serializers import serialize_listed
from .state import SESSIONS, Row, images, iso, setting

__all__ = ["get_session", "join", "find_session", "list_sessions", "session_images", "touch"]


def list_sessions(world: World) -> dict[str, Any]:
    """All sessions, the most recent first."""
    by_session: dict[str, list[Row]] = {}
    for row in images(world).values():
        by_session.setdefault(row["session_id"], []).append(row)
    recent = sorted(world.table(SESSIONS).values(), key=lambda session: session["last"], reverse=True)
    return {"sessions": [_summary(session, by_session.get(session["id"], [])) for session in recent]}


def get_session(world: World, call: ApiCall, parameters: dict[str, Any]) -> dict[str, Any]:
    """One session and its images in the order they were made. Raises ProviderError: not_found."""
    session = find_session(world, parameters["id"])
    rows = session_images(world, session["id"])
    return {**_summary(session, rows), "images": [serialize_listed(call, row) for row in rows]}


def find_session(world: World, session_id: str) -> Row:
    """The session with this id. Raises ProviderError: not_found."""
    session = world.table(SESSIONS).get(session_id)
    if session is None:
        raise ProviderError("not_found", "Session not found")
    return session


def join(world: World, call: ApiCall, session_id: str | None) -> str:
    """The session that is named, else the key's open one, else a new one; something is made in it now."""
    if session_id is not None:
        return touch(world, session_id)
    holder = hashlib.sha256((call.credential or "").encode()).hexdigest()[:16]
    idle = setting(world, "gobananas.session_minutes") * 60
    own = [session for session in world.table(SESSIONS).values() if session["holder"] == holder]
    latest = max(own, key=lambda session: session["last"], default=None)
    if latest is not None and world.clock.now() - latest["last"] <= idle:
        return touch(world, latest["id"])
    fresh = f"session-{world.ids.letters(8)}"
    world.table(SESSIONS)[fresh] = {"id": fresh, "holder": holder, "last": world.clock.now()}
    return fresh


def touch(world: World, session_id: str) -> str:
    """Something is made in it now. Raises ProviderError: not_found."""
    find_session(world, session_id)["last"] = world.clock.now()
    return session_id


def session_images(world: World, session_id: str) -> list[Row]:
    """The images of a session that are still there, oldest first."""
    return [row for row in images(world).values() if row["session_id"] == session_id]


def _summary(session: Row, rows: list[Row]) -> dict[str, Any]:
    """Counts the images that are still there; edits are among them."""
    return {
        "session_id": session["id"],
        "total_images": len(rows),
        "total_edits": sum(row["operation_type"] == "edit" for row in rows),
        "last_activity_at": iso(session["last"]),
    }
