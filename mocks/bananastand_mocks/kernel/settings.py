"""Checks new values of a world's settings: each must be like the present value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

__all__ = ["MAX_NUMBER", "setting_problem"]

MAX_NUMBER = 1e9  # such as seconds: thirty years


def setting_problem(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> str | None:
    """Return why these changes cannot be made, with the setting's name; None where they can.

    Settings that do not exist are ignored.
    """
    for name, value in changes.items():
        if name in settings:
            error = next(jsonschema_rs.Draft202012Validator(_schema_of(settings[name])).iter_errors(value), None)
            if error is not None:
                return f"{name}: {error.message[:300]}"
    return None


def _schema_of(example: Any) -> dict[str, Any]:
    if isinstance(example, bool):
        return {"type": "boolean"}
    if isinstance(example, int | float):
        return {"type": "number", "minimum": 0, "maximum": MAX_NUMBER}
    if isinstance(example, str):
        return {"type": "string", "maxLength": 10_000}
    if isinstance(example, list):
        return _schema_of_list(example)
    return {"type": ["object", "null"] if isinstance(example, dict) else ["string", "number", "boolean", "null"]}


def _schema_of_list(example: list[Any]) -> dict[str, Any]:
    """A list of numbers keeps its length, because each number in it has its own meaning."""
    items = _schema_of(example[0]) if example else {}
    is_numeric = items.get("type") == "number"
    return {
        "type": "array",
        "items": items,
        "minItems": len(example) if is_numeric else 0,
        "maxItems": len(example) if is_numeric else 1000,
    }
