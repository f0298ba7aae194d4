"""Makes a document of OpenAPI 3.0 or 3.1 into one that contracts are made of: schemas of JSON Schema 2020-12."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote

from bananastand.contracts.contract import METHODS

__all__ = ["lookup", "resolve", "upgrade"]

VALUES = ("example", "examples", "default", "enum", "const")  # hold values, not schemas
JSON = "application/json"
RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
MAPS = frozenset(  # from names to objects
    ("properties", "patternProperties", "schemas", "$defs", "definitions", "dependentSchemas", "responses", "headers")
    + ("parameters", "requestBodies", "callbacks", "content", "paths", "links", "encoding", "variables")
)


def upgrade(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with an operationId for every operation, and its paths in place of their references."""
    is_old = str(document["openapi"]).startswith("3.0")
    upgraded = cast("dict[str, Any]", _convert(dict(document), is_old))
    upgraded["openapi"] = "3.1.0"
    upgraded["paths"] = {
        template: _path_item(upgraded, template, item)
        for template, item in upgraded["paths"].items()
        if template.startswith("/")
    }
    return upgraded


def resolve(document: Mapping[str, Any], value: Any) -> Any:
    """Return a value, or what its $ref names, with the keys beside the $ref added; a circle ends as an empty object."""
    seen: set[str] = set()
    while isinstance(value, dict) and isinstance(reference := value.get("$ref"), str):
        if reference in seen:
            return {}
        seen.add(reference)
        beside = {key: item for key, item in value.items() if key != "$ref"}
        found = lookup(document, reference)
        value = {**found, **beside} if beside and isinstance(found, dict) else found
    return value


def lookup(document: Mapping[str, Any], reference: str) -> Any:
    """Return what a reference such as #/components/schemas/Pet names; an empty object where that is nothing."""
    found: Any = document
    for key in unquote(reference.removeprefix("#").removeprefix("/")).split("/") if reference != "#" else ():
        key = key.replace("~1", "/").replace("~0", "~")
        found = found[int(key)] if isinstance(found, list) else found.get(key, {})
    return found


def _path_item(document: dict[str, Any], template: str, item: dict[str, Any]) -> dict[str, Any]:
    item = resolve(document, item)
    for method in METHODS:
        if method in item:
            words = re.sub(r"[^A-Za-z0-9]+", "_", template).strip("_") or "root"
            item[method].setdefault("operationId", f"{method}_{words}")
            item[method].setdefault("responses", {"200": {"description": "The document names no response."}})
            for parameter in (*item.get("parameters", ()), *item[method].get("parameters", ())):
                _spell_style_out(resolve(document, parameter))
            _name_json(resolve(document, item[method].get("requestBody", {})))
    return item


def _spell_style_out(parameter: dict[str, Any]) -> None:
    """Path and header parameters are lists with commas, unless the document says otherwise."""
    if parameter.get("in") in ("path", "header"):
        parameter.setdefault("explode", False)
    if "content" in parameter and "schema" not in parameter:
        parameter["schema"] = {}  # JSON in a parameter is taken as it comes


def _name_json(body: dict[str, Any]) -> None:
    """A body of `*/*` or `application/json; charset=utf-8` may be JSON, and is then checked as JSON."""
    content = body.get("content", {})
    kinds = [kind for kind in content if "json" in kind or kind in ("*/*", "application/*")]
    if kinds and not any(kind == JSON or kind.endswith("+json") for kind in kinds):
        content[JSON] = content[kinds[0]]


def _convert(value: Any, is_old: bool, *, names: bool = False) -> Any:
    """Convert all schemas below a value; the keys of a map from names to schemas are no keywords."""
    if isinstance(value, list):
        return [_convert(item, is_old) for item in value]
    if not isinstance(value, dict):
        return value
    if is_old and isinstance(value.get("$ref"), str) and not names:
        return {"$ref": value["$ref"]}
    converted = {
        key: item if key in VALUES and not names else _convert(item, is_old, names=key in MAPS and not names)
        for key, item in value.items()
    }
    if names:
        return converted
    if is_old:
        _modernize(converted)
    _drop_one_way_requirements(converted)
    if converted.get("format") in RANGES and converted.get("type") != "string":
        low, high = RANGES[converted["format"]]
        converted["minimum"] = max(low, converted.get("minimum", low))
        converted["maximum"] = min(high, converted.get("maximum", high))
    return converted


def _modernize(schema: dict[str, Any]) -> None:
    """The keywords of 3.0 that JSON Schema has in another form."""
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if schema.get(exclusive) is True and bound in schema:
            schema[exclusive] = schema.pop(bound)
        elif isinstance(schema.get(exclusive), bool):
            del schema[exclusive]
    if schema.pop("nullable", False) is not True:
        return
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    elif inner := {key: schema.pop(key) for key in ("allOf", "anyOf", "oneOf") if key in schema}:
        schema["anyOf"] = [inner, {"type": "null"}]


def _drop_one_way_requirements(schema: dict[str, Any]) -> None:
    """What is only read is not required in requests, and what is only written not in answers."""
    required, properties = schema.get("required"), schema.get("properties")
    if isinstance(required, list) and isinstance(properties, dict):
        schema["required"] = [name for name in required if not _is_one_way(properties.get(name))]


def _is_one_way(schema: Any) -> bool:
    return isinstance(schema, dict) and (schema.get("readOnly") is True or schema.get("writeOnly") is True)
