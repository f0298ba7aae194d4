"""Values that fit a schema, with all fields or only the required ones. No two texts or numbers are equal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from contracts import resolve

__all__ = ["sample"]

FORMATS = {"date": "2026-01-{:02}", "date-time": "2026-01-02T03:04:{:02}Z", "uri": "https://example.com/{}"}
PATTERNS = {
    r"^\d{4}-\d{2}-\d{2}$": "2026-02-{:02}",
    r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$": "2026-02-03T04:05:{:02}Z",
    "^https?://": "https://example.com/{}",
}
LONGEST = 5  # levels of what refers to itself


def sample(document: Any, schema: Any, *, full: bool) -> Any:
    """One value for a schema of the document."""
    return _value(document, schema, full, count(3), 0)


def _value(document: Any, schema: Any, full: bool, numbers: Iterator[int], depth: int) -> Any:
    schema = resolve(document, schema)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return next(item for item in schema["enum"] if item is not None) if full else schema["enum"][:2][-1]
    if "allOf" in schema:
        return _value(document, _merged(document, schema), full, numbers, depth)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            chosen = resolve(document, schema[word][0 if full else -1])
            return _value(document, _merged(document, {**_rest(schema), "allOf": [chosen]}), full, numbers, depth)
    kinds = schema.get("type", "object" if "properties" in schema else "any")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    kind = "null" if "null" in kinds and not full else kinds[0]
    match kind:
        case "object":
            return _object(document, schema, full, numbers, depth)
        case "array":
            length = max(schema.get("minItems", 0), 1 if full and depth < LONGEST else 0)
            return [_value(document, schema.get("items", {}), full, numbers, depth + 1) for _ in range(length)]
        case "integer":
            return min(max(schema.get("minimum", 0), 0) + next(numbers), schema.get("maximum", 2**53))
        case "number":
            return min(max(schema.get("minimum", 0), 0) + next(numbers) + 0.25, schema.get("maximum", 2.0**53))
        case "boolean":
            return full
        case "null":
            return None
        case "string":
            form = PATTERNS[schema["pattern"]] if "pattern" in schema else FORMATS.get(schema.get("format"), "text {}")
            text = form.format(next(numbers) % 28 + 1 if ":02" in form else next(numbers))
            return text.ljust(schema.get("minLength", 0), ".")
        case _:
            return {"anything": next(numbers)}


def _object(document: Any, schema: Any, full: bool, numbers: Iterator[int], depth: int) -> Any:
    properties = schema.get("properties", {})
    names = list(properties if full and depth < LONGEST else schema.get("required", ()))
    names += [field for field in properties if field not in names][
        : max(0, schema.get("minProperties", 0) - len(names))
    ]
    found = {name: _value(document, properties.get(name, {}), full, numbers, depth + 1) for name in names}
    more, least = schema.get("additionalProperties"), schema.get("minProperties", 0)
    if isinstance(more, dict) and (full or least > len(found)) and depth < LONGEST:
        named = resolve(document, schema.get("propertyNames", {})).get("enum", ["a name"])[0]
        found[named] = _value(document, more, full, numbers, depth + 1)
    return found


def _merged(document: Any, schema: Any) -> Any:
    """The schema and all of its allOf in one, objects by their properties."""
    found = _rest(schema)
    for item in schema["allOf"]:
        part = resolve(document, item)
        part = _merged(document, part) if "allOf" in part else part
        shared = {**found.get("properties", {})}
        for name, value in part.get("properties", {}).items():
            shared[name] = _merged(document, {"allOf": [shared[name], value]}) if name in shared else value
        required = [*found.get("required", ()), *part.get("required", ())]
        found = {**found, **part, "properties": shared, "required": list(dict.fromkeys(required))}
        if not shared:
            del found["properties"]
    return found


def _rest(schema: Any) -> Any:
    return {name: value for name, value in schema.items() if name not in ("allOf", "anyOf", "oneOf")}
