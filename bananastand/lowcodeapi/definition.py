"""The gateway's own description of an upstream: /definition and /metadata. Knows contracts, no upstream by name.

Both are generated, as LowCodeAPI generates them from its table of routes, and are poorer than the contract.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bananastand.contracts.contract import Contract
from bananastand.contracts.operation import Operation
from bananastand.contracts.schemas import Schemas

__all__ = ["definition", "literal_places", "metadata"]

EXAMPLES: dict[str, Any] = {"string": "", "number": 0, "boolean": False, "object": {}, "array": []}
REFUSED = {"401": {"description": "API token required", "content": {"application/json": {}}}}


def literal_places(operation: Operation) -> list[str]:
    """Path parameters that stand in the path as literal words, their values in the query (A:96)."""
    words = operation.template.split("/")
    return [name for name in operation.query.required if name in words]


def definition(description: str, contract: Contract, base: str) -> dict[str, Any]:
    """Return OpenAPI 3.0, its paths keyed by the literal addresses.

    Args:
        description: What the API offers.
        contract: The contract of its operations.
        base: The address at which this server offers it.
    """
    schemas, paths = Schemas(contract.document), dict[str, Any]()
    for operation in _listed(contract):
        paths.setdefault(operation.template, {})[operation.method.lower()] = _described(operation, schemas)
    return {
        "openapi": "3.0.0",
        "info": {"description": description},
        "servers": [{"description": description, "url": server["url"]} for server in contract.servers(base)],
        "paths": paths,
        "components": {"securitySchemes": {"ApiToken": {"type": "apiKey", "in": "query", "name": "api_token"}}},
        "security": [{"ApiToken": []}],
    }


def metadata(provider: str, contract: Contract) -> dict[str, Any]:
    """Return the addresses of an upstream by category; each category is a heading of its document (A:21, C:34)."""
    categories: dict[str, Any] = {}
    for operation in _listed(contract):
        for category in operation.spec["tags"]:
            listed = categories.setdefault(category, {"id": category.lower(), "paths": []})
            paths = (operation.template, f"{operation.template}~{operation.method.lower()}")
            listed["paths"] += [path for path in paths if path not in listed["paths"]]
    return {"message": f"API metadata for {provider}", "res": categories}


def _listed(contract: Contract) -> Iterator[Operation]:
    return (operation for operation in contract.by_id.values() if operation.id != "get_base")


def _described(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    spec = operation.spec
    described: dict[str, Any] = {
        "tags": spec["tags"],
        "parameters": [
            _parameter(operation, schemas.resolve(parameter), schemas) for parameter in spec.get("parameters", [])
        ],
        "responses": REFUSED,
        "summary": spec.get("summary", ""),
        "description": spec.get("description", spec.get("summary", "")),
        "security": [{"ApiToken": []}],
    }
    if operation.takes_json:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": _body(spec, schemas)}}}
    return described


def _parameter(operation: Operation, declared: Any, schemas: Schemas) -> dict[str, Any]:
    kind = _type(declared.get("schema", {}), schemas)
    return {
        "name": declared["name"],
        "in": "path" if declared["name"] in literal_places(operation) else "query",
        "description": declared.get("description", ""),
        "required": bool(declared.get("required")),
        "schema": {"type": kind, "example": EXAMPLES[kind]},
    }


def _body(spec: Any, schemas: Schemas) -> dict[str, Any]:
    schema = schemas.resolve(spec["requestBody"]["content"]["application/json"]["schema"])
    required = schema.get("required", [])
    properties: dict[str, dict[str, Any]] = {
        name: {
            "type": _type(property_schema, schemas),
            "description": schemas.resolve(property_schema).get("description", ""),
            **({"required": True} if name in required else {}),
        }
        for name, property_schema in schema.get("properties", {}).items()
    }
    return {
        "type": "object",
        "properties": properties,
        "example": {name: EXAMPLES[property_schema["type"]] for name, property_schema in properties.items()},
    }


def _type(schema: Any, schemas: Schemas) -> str:
    """The type as the document's tables have it, which know no integers (A:31, C:51); `x-type` is theirs, not ours."""
    schema = schemas.resolve(schema)
    kind = schema.get("x-type") or schema.get("type") or ("string" if "enum" in schema else "object")
    return "number" if kind == "integer" else str(kind)
