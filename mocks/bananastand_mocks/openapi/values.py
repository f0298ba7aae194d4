"""Draws values that fit a schema, from its examples where it has any, else from its types; a seed repeats them."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

from .patterns import draw_pattern
from .upgrade import lookup

__all__ = ["MISSING", "Drawer", "example_of"]

WIDE = 10**6  # values that are drawn from
DEPTH = 3  # below which optional properties are left out
DEEPEST, MOST = 40, 3000  # levels and parts of one value; beyond them, null
MOST_ITEMS, LONGEST = 1000, 100_000  # items of a list, characters of a text
LETTERS = "abcdefghijklmnopqrstuvwxyz"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
YEAR = 365 * 86400
MISSING = object()


class Drawer:
    """Draws values.

    Args:
        document: The upgraded document, for its references.
        seed: What the values depend on.
    """

    def __init__(self, document: Mapping[str, Any], seed: str) -> None:
        self._document, self._random = document, Random(seed)
        self._level, self._left = 0, MOST

    def draw(self, schema: Any, name: str = "value", *, depth: int = 0) -> Any:
        """Return a value for a schema; `name` is the field's, which texts begin with."""
        if self._level > DEEPEST or not self._left:
            return None  # a schema that requires itself has no end
        self._level, self._left = self._level + 1, self._left - 1
        try:
            return self._draw(schema, name, depth)
        finally:
            self._level -= 1

    def _draw(self, schema: Any, name: str, depth: int) -> Any:
        schema = self.flatten(schema)
        if (example := example_of(schema)) is not MISSING:
            return example
        if schema.get("enum"):
            return self._random.choice(schema["enum"])
        if "default" in schema:
            return schema["default"]
        if variants := schema.get("oneOf") or schema.get("anyOf"):
            return self._draw_variant(schema, variants, name, depth)
        match _type_of(schema):
            case "object":
                return self._draw_object(schema, depth)
            case "array":
                return self._draw_array(schema, name, depth)
            case "integer":
                return int(self._draw_number(schema, integral=True))
            case "number":
                return self._draw_number(schema, integral=False)
            case "boolean":
                return self._random.random() < 0.5
            case "null":
                return None
            case _:
                return self._draw_text(schema, name)

    def flatten(self, schema: Any, seen: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Return a schema without $ref and allOf: their parts in one. A circle of them ends as an empty schema."""
        if not isinstance(schema, dict):
            return {}
        parts = [self.flatten(part, seen) for part in schema.get("allOf", ())]
        if isinstance(reference := schema.get("$ref"), str) and reference not in seen:
            parts.insert(0, self.flatten(lookup(self._document, reference), seen | {reference}))
        merged = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        for part in parts:
            properties: dict[str, Any] = {**part.get("properties", {}), **merged.get("properties", {})}
            required = [*part.get("required", ()), *merged.get("required", ())]
            merged = {**part, **merged}
            if properties:
                merged |= {"properties": properties, "required": required}
        return merged

    def _draw_variant(self, schema: dict[str, Any], variants: list[Any], name: str, depth: int) -> Any:
        """The first variant that is not null, with the other keywords beside it."""
        chosen = next((part for part in variants if self.flatten(part).get("type") != "null"), variants[0])
        beside = {key: value for key, value in schema.items() if key not in ("oneOf", "anyOf", "discriminator")}
        value = self.draw({"allOf": [chosen, beside]}, name, depth=depth)
        discriminator = schema.get("discriminator", {})
        if isinstance(value, dict) and (key := discriminator.get("propertyName")) is not None:
            reference = chosen.get("$ref", "") if isinstance(chosen, dict) else ""
            names = {target: label for label, target in discriminator.get("mapping", {}).items()}
            if reference:
                value[key] = names.get(reference, reference.rpartition("/")[2])
        return value

    def _draw_object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        drawn = {
            name: self.draw(inner, name, depth=depth + 1)
            for name, inner in properties.items()
            if (name in required or (depth < DEPTH and self._left)) and not self.flatten(inner).get("writeOnly")
        }
        for name in required:
            drawn.setdefault(name, f"{name}")
        others = schema.get("additionalProperties")
        missing = max(schema.get("minProperties", 0) - len(drawn), 1 if isinstance(others, dict) and not drawn else 0)
        if depth < DEPTH:
            for number in range(min(missing, MOST_ITEMS)):
                drawn[f"key{number + 1}"] = self.draw(others if isinstance(others, dict) else {}, depth=depth + 1)
        return drawn

    def _draw_array(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        first = [self.draw(inner, name, depth=depth + 1) for inner in schema.get("prefixItems", ())]
        least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
        count = least if depth >= DEPTH else max(least, len(first) + 1)
        items = schema.get("items", {})
        if items is False:
            return first
        while len(first) < min(count, most, MOST_ITEMS):
            drawn = self.draw(items, name, depth=depth + 1)
            if schema.get("uniqueItems") and drawn in first:
                items = {key: value for key, value in self.flatten(items).items() if key not in ("example", "examples")}
                drawn = next((value for value in items.get("enum", ()) if value not in first), f"{name} {len(first)}")
            first.append(drawn)
        return first

    def _draw_number(self, schema: dict[str, Any], *, integral: bool) -> float:
        low, high = schema.get("minimum"), schema.get("maximum")
        step = schema.get("multipleOf") or (1 if integral else 0.01)
        if (above := schema.get("exclusiveMinimum")) is not None:
            low = above + step if low is None else max(low, above + step)
        if (below := schema.get("exclusiveMaximum")) is not None:
            high = below - step if high is None else min(high, below - step)
        if low is None:
            low = 1 if high is None or high >= max(1, step) else high - 999 * step
        high = low + 999 * step if high is None else high
        if low < 1 <= high and high - low > WIDE:
            low = 1  # what limits of a type allow is no plausible value
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last < first:
            return low
        number = self._random.randint(first, min(last, first + WIDE)) * step
        return number if integral else round(number, 10)

    def _draw_text(self, schema: dict[str, Any], name: str) -> str:
        text = self._formatted(schema.get("format", ""), name)
        if text is None and "pattern" in schema:
            text = draw_pattern(schema["pattern"], self._random)
        if text is None:
            text = f"{name} {''.join(self._random.choices(LETTERS, k=6))}"
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        text = text.ljust(min(least, LONGEST), "x")
        return text if most is None or len(text) <= most else text[:most]

    def _formatted(self, form: str, name: str) -> str | None:
        random, word = self._random, "".join(self._random.choices(LETTERS, k=8))
        moment = datetime.fromtimestamp(BEGIN + random.randrange(YEAR), UTC)
        match form:
            case "date-time":
                return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
            case "date":
                return f"{moment:%Y-%m-%d}"
            case "time":
                return f"{moment:%H:%M:%SZ}"
            case "duration":
                return f"PT{random.randrange(1, 60)}M"
            case "uuid":
                return str(UUID(int=random.getrandbits(128), version=4))
            case "email" | "idn-email":
                return f"{word}@example.com"
            case "uri" | "url" | "iri":
                return f"https://example.com/{word}"
            case "uri-reference" | "iri-reference":
                return f"/{word}"
            case "hostname" | "idn-hostname":
                return f"{word}.example.com"
            case "ipv4":
                return f"192.0.2.{random.randrange(1, 255)}"
            case "ipv6":
                return f"2001:db8::{random.randrange(1, 9999):x}"
            case "byte" | "base64":
                return base64.b64encode(word.encode()).decode()
            case "json-pointer":
                return f"/{word}"
            case _:
                return None


def example_of(schema: Mapping[str, Any]) -> Any:
    """Return the example of a schema, or its only value; MISSING if it has none."""
    if "const" in schema:
        return schema["const"]
    if "example" in schema:
        return schema["example"]
    examples = schema.get("examples")
    return examples[0] if isinstance(examples, list) and examples else MISSING


def _type_of(schema: Mapping[str, Any]) -> str:
    named = schema.get("type")
    if isinstance(named, list):
        return next((kind for kind in named if kind != "null"), "null")
    if isinstance(named, str):
        return named
    if "properties" in schema or "additionalProperties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "number" if {"minimum", "maximum", "multipleOf"} & schema.keys() else "string"
