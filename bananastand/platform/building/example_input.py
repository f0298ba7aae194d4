"""Reads the inputs of a first call from banana_config.json: `example_input`, or `inputs` of the newer form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

__all__ = ["FILE", "example_input"]

FILE = "banana_config.json"
LARGEST = 256 * 2**10  # bytes of the file
PLACEHOLDERS: dict[str, Any] = {
    "string": "a text",
    "number": 1,
    "integer": 1,
    "boolean": False,
    "object": {},
    "array": [],
}


def example_input(source: Path) -> dict[str, Any] | None:
    """Return the inputs of a first call for the repository in `source`, or None.

    In the newer form, inputs have their defaults, and required ones without a default a placeholder of their type.
    """
    file = source / FILE
    try:
        if not file.resolve().is_relative_to(source.resolve()) or file.stat().st_size > LARGEST:
            return None
        config: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(config, dict):
        return None
    config = cast("dict[str, Any]", config)
    example: Any = config.get("example_input")
    if isinstance(example, dict) and example:
        return cast("dict[str, Any]", example)
    inputs: Any = config.get("inputs")
    return _defaults(cast("list[Any]", inputs)) or None if isinstance(inputs, list) else None


def _defaults(inputs: list[Any]) -> dict[str, Any]:
    body = dict[str, Any]()
    for entry in inputs:
        row = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
        name, default = row.get("name"), row.get("default")
        if not isinstance(name, str) or not name:
            continue
        if default is not None:
            body[name] = default
        elif row.get("required"):
            options = cast("list[Any]", row.get("options")) if isinstance(row.get("options"), list) else []
            body[name] = options[0] if options else PLACEHOLDERS.get(str(row.get("type")), "a text")
    return body
