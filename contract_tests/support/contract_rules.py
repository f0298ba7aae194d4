"""The rules that the contracts put on requests: one for each keyword of JSON Schema on each value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from contracts import contract, named_operations, operation, resolve

__all__ = ["NUMBERS", "WHOLE", "Rule", "rules", "schema_of"]

NUMBERS = {"minimum": -1, "maximum": 1, "minLength": -1, "maxLength": 1, "minItems": -1, "maxItems": 1}
WHOLE = ("enum", "const", "pattern", "format", "type", "required")
HUGE = 2**53 - 1  # a bound of JSON itself, not of a document
DEEPEST = 6


@dataclass(frozen=True)
class Rule:
    """One keyword on one value of a request: `place` is body or a parameter's name, `path` leads on from there."""

    provider: str
    operation: str
    place: str
    path: tuple[str, ...]
    keyword: str
    value: Any

    def __str__(self) -> str:
        where = ".".join((self.place, *self.path))
        return f"{self.provider}.{self.operation} {where} {self.keyword}={self.value}"


def rules(provider: str) -> Iterator[Rule]:
    """Every rule on the requests of a provider, `default` too."""
    document = contract(provider)
    for found in named_operations(document):
        name = found.spec["operationId"]
        for parameter in found.parameters:
            if parameter.get("required") and parameter["in"] != "path":
                yield Rule(provider, name, parameter["name"], (), "required", True)
            for path, keyword, value in _within(document, parameter["schema"], ()):
                yield Rule(provider, name, parameter["name"], path, keyword, value)
        if found.body is not None:
            for path, keyword, value in _within(document, found.body, ()):
                yield Rule(provider, name, "body", path, keyword, value)


def _within(document: Any, schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    schema = resolve(document, schema)
    if not isinstance(schema, dict) or len(path) > DEEPEST:
        return
    for keyword in (*NUMBERS, *WHOLE, "default"):
        if keyword == "required":
            for name in schema.get("required", ()):
                yield path, "required", name
        elif keyword in schema and not (keyword in NUMBERS and schema[keyword] in (HUGE, -HUGE)):
            yield path, keyword, schema[keyword]
    for name, value in schema.get("properties", {}).items():
        yield from _within(document, value, (*path, name))
    if isinstance(schema.get("items"), dict):
        yield from _within(document, schema["items"], (*path, "[]"))


def schema_of(rule: Rule) -> Any:
    """The schema that the rule is part of."""
    found = operation(contract(rule.provider), rule.operation)
    if rule.place == "body":
        schema = found.body
    else:
        schema = next(parameter["schema"] for parameter in found.parameters if parameter["name"] == rule.place)
    for key in rule.path:
        schema = resolve(found.document, schema)
        schema = schema["items"] if key == "[]" else schema["properties"][key]
    return resolve(found.document, schema)
