"""Which values a world's setting takes: those like its present one. Knows no setting by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

__all__ = ["MOST", "refused"]

MOST = 1e9  # of a number, such as seconds: thirty years


def refused(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> str | None:
    """Why these changes cannot be made, naming the setting; None where they can. Unknown settings are left alone."""
    for name, value in changes.items():
        if name in settings:
            error = next(jsonschema_rs.Draft202012Validator(_like(settings[name])).iter_errors(value), None)
            if error is not None:
                return f"{name}: {error.message[:300]}"
    return None


def _like(example: Any) -> dict[str, Any]:
    """A schema by example. A list of numbers keeps its length, as each number in it has its own meaning."""
    if isinstance(example, bool):
        return {"type": "boolean"}
    if isinstance(example, int | float):
        return {"type": "number", "minimum": 0, "maximum": MOST}
    if isinstance(example, str):
        return {"type": "string", "maxLength": 10_000}
    if isinstance(example, list):
        return _list_like(example)
    return {"type": ["object", "null"] if isinstance(example, dict) else ["string", "number", "boolean", "null"]}


def _list_like(example: list[Any]) -> dict[str, Any]:
    items = _like(example[0]) if example else {}
    fixed = len(example) if items.get("type") == "number" else None
    return {
        "type": "array",
        "items": items,
        "minItems": fixed if fixed is not None else 0,
        "maxItems": fixed if fixed is not None else 1000,
    }
