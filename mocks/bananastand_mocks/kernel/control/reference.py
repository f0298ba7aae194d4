"""The control plane's OpenAPI document as a page that works offline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..pages import render

__all__ = ["control_reference"]

REF = "#/components/schemas/"


def control_reference(document: Mapping[str, Any]) -> bytes:
    """Return the HTML page of a document."""
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    routes = list(_routes(document["paths"]))
    refusals = {
        status: response["description"]
        for methods in document["paths"].values()
        for operation in methods.values()
        for status, response in operation["responses"].items()
        if int(status) >= 400
    }
    return render(
        "control_plane.html",
        title="Control plane",
        description=document["info"]["description"],
        routes=routes,
        refusals=dict(sorted(refusals.items())),
        known=set(schemas),
        schemas=[_schema(name, schema) for name, schema in schemas.items()],
    )


def _routes(paths: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            status, response = next(iter(operation["responses"].items()))
            yield {
                "id": operation["operationId"],
                "method": method.upper(),
                "path": path,
                "text": _plain(operation),
                "parameters": [row["name"] for row in operation.get("parameters", []) if row["in"] == "query"],
                "body": _content(operation.get("requestBody", {})),
                "status": status,
                "response": _content(response),
            }


def _content(part: Mapping[str, Any]) -> str:
    """The type of a body; its media type where that is not JSON."""
    for media_type, content in part.get("content", {}).items():
        if media_type != "application/json":
            return media_type
        schema = content["schema"]
        return _type(next((row for row in schema.get("anyOf", [schema]) if row.get("type") != "null"), schema))
    return ""


def _schema(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    required = schema.get("required", [])
    fields = [
        {
            "name": field,
            "type": _type(spec),
            "text": _plain(spec),
            "required": field in required,
            "default": spec.get("default") if spec.get("default") != "" else '""',
        }
        for field, spec in schema.get("properties", {}).items()
    ]
    return {"name": name, "text": _plain(schema), "fields": fields}


def _plain(part: Mapping[str, Any]) -> str:
    return part.get("description", "").replace("`", "")


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in words, such as `integer, at least 1`."""
    if "$ref" in schema:
        return schema["$ref"].removeprefix(REF)
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(values := schema.get("additionalProperties"), Mapping):
        return f"object of {_type(values)}"
    bounds = [f"{word} {schema[key]:g}" for key, word in BOUNDS.items() if key in schema]
    return ", ".join([str(schema.get("type", "any JSON")), *bounds])


BOUNDS = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most", "maxLength": "up to characters"}
