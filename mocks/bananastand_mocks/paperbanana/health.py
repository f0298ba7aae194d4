"""Health check (D:66-85)."""

from __future__ import annotations

__all__ = ["VERSION", "get_health"]

VERSION = "0.1.2"


def get_health() -> dict[str, str]:
    """The API is online; no key is asked for (D:70)."""
    return {"status": "ok", "version": VERSION}
