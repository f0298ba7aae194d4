"""The fields of responses and requests as paths, read from the contract files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from contracts import Operation, resolve

__all__ = ["answer_schema", "fields"]

DEEPEST = 6


def answer_schema(found: Operation, status: str) -> Any:
    """Returns the schema of a JSON response, or None if the response is no JSON."""
    response = resolve(found.document, found.spec["responses"][status])
    return response.get("content", {}).get("application/json", {}).get("schema")


def fields(document: Any, schema: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Returns the paths of all fields, each once, in the order of the schema."""
    return list(dict.fromkeys(_fields(document, schema, path)))


def _fields(document: Any, schema: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    schema = resolve(document, schema)
    if not isinstance(schema, dict) or len(path) > DEEPEST:
        return
    for name, value in schema.get("properties", {}).items():
        yield (*path, name)
        yield from _fields(document, value, (*path, name))
    if isinstance(schema.get("items"), dict):
        yield from _fields(document, schema["items"], (*path, "[]"))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _fields(document, schema["additionalProperties"], (*path, "*"))
    for word in ("allOf", "anyOf", "oneOf"):
        for item in schema.get(word, ()):
            yield from _fields(document, item, path)
