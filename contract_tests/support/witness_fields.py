"""The fields of success responses in a contract, and which of them a witness shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from client_calls import NOT_FOR_CLIENTS
from contracts import contract, named_operations, resolve
from witnesses import content_of, witnesses

__all__ = ["Field", "fields", "witnessed"]


@dataclass(frozen=True)
class Field:
    """A field of a response: `Model.metadata` is `metadata` of the contract's schema Model."""

    place: str
    inferred: bool


@cache
def fields(provider: str) -> dict[str, Field]:
    """Return the fields of all success responses that a client reads, by their place."""
    found: dict[str, Field] = {}
    for name, schema, inferred in _responses(provider):
        for field in _declared(contract(provider), schema, name, inferred, set()):
            before = found.get(field.place)
            found[field.place] = Field(field.place, field.inferred and (before is None or before.inferred))
    return found


@cache
def witnessed(provider: str) -> frozenset[str]:
    """Return the places of the fields that a witness shows."""
    schemas = {name: schema for name, schema, _ in _responses(provider)}
    found: set[str] = set()
    for witness in witnesses():
        if witness.provider == provider and witness.enveloped:
            body = json.loads(content_of(witness))
            for method in witness.methods:
                if method in schemas:
                    found |= set(_present(contract(provider), schemas[method], method, body))
    return frozenset(found)


def _responses(provider: str) -> Iterator[tuple[str, Any, bool]]:
    """Yield each operation's name, the schema of its success, and whether its contract marks it as inferred."""
    document = contract(provider)
    for operation in named_operations(document):
        spec = operation.spec
        if spec["operationId"] in NOT_FOR_CLIENTS.get(provider, ()):
            continue
        success = resolve(document, next(value for status, value in spec["responses"].items() if status[0] in "23"))
        schema = success.get("content", {}).get("application/json", {}).get("schema")
        if schema is not None:
            yield spec["operationId"], schema, _is_inferred(spec) or _is_inferred(success)


def _declared(document: Any, schema: Any, place: str, inferred: bool, seen: set[str]) -> Iterator[Field]:
    if "$ref" in schema:
        place = schema["$ref"].rpartition("/")[2]
        if place in seen:
            return
        seen = {*seen, place}
    inferred = inferred or _is_inferred(schema)
    resolved = resolve(document, schema)
    inferred = inferred or _is_inferred(resolved)
    for name, child in resolved.get("properties", {}).items():
        marked = inferred or _is_inferred(child) or _is_inferred(resolve(document, child))
        yield Field(f"{place}.{name}", marked)
        yield from _declared(document, child, f"{place}.{name}", marked, seen)
    for child in _others(resolved):
        yield from _declared(document, child, place, inferred, seen)


def _present(document: Any, schema: Any, place: str, value: Any) -> Iterator[str]:
    place = schema["$ref"].rpartition("/")[2] if "$ref" in schema else place
    resolved = resolve(document, schema)
    for name, child in resolved.get("properties", {}).items():
        if isinstance(value, dict) and name in value:
            yield f"{place}.{name}"
            yield from _present(document, child, f"{place}.{name}", value[name])
    for child in _others(resolved):
        inside = value
        if child is resolved.get("items"):
            inside = value if isinstance(value, list) else []
        elif child is resolved.get("additionalProperties"):
            inside = list(value.values()) if isinstance(value, dict) else []
        else:
            yield from _present(document, child, place, value)
            continue
        for item in inside:
            yield from _present(document, child, place, item)


def _others(schema: Any) -> list[Any]:
    """Return the schemas inside a schema that are no properties."""
    found = [part for word in ("allOf", "anyOf", "oneOf") for part in schema.get(word, ())]
    return found + [schema[word] for word in ("items", "additionalProperties") if isinstance(schema.get(word), dict)]


def _is_inferred(part: Any) -> bool:
    return part.get("x-confidence") == "inferred"
