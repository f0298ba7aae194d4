"""A contract as it is handed out: with this server first, an operationId for every address, and examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from .schemas import Schemas

__all__ = ["publish", "servers"]

EXAMPLE = "example"  # the name of every example; tools that mock from a contract pair requests and answers by it


def servers(document: Any, base: str) -> list[dict[str, Any]]:
    """Return the addresses of an API: `base`, where this server offers it, before those of the real service."""
    return [{"url": base, "description": "This server."}, *document.get("servers", ())]


def publish(document: Any, examples: Path) -> dict[str, Any]:
    """Return a contract's document for tools that generate clients or mocks from it.

    Args:
        document: The contract's document.
        examples: A YAML file with `parameters`, `body` and `answer` by operationId; it need not exist. An alias has the
            id of its original with a number, and its examples where it has none of its own.
    """
    schemas, paths, aliases = Schemas(document), dict[str, Any](), dict[str, int]()
    by_id = yaml.safe_load(examples.read_text(encoding="utf-8")) if examples.is_file() else {}
    for path, item in document["paths"].items():
        paths[path] = {"parameters": item["parameters"]} if "parameters" in item else {}
        for method, spec in item.items():
            if method != "parameters":
                operation = name = spec.get("operationId") or spec["x-alias-of"]
                if "operationId" not in spec:
                    aliases[operation] = aliases.get(operation, 1) + 1
                    name = f"{operation}_{aliases[operation]}"
                example = by_id.get(name) or by_id.get(operation, {})
                published = _with_examples(spec, item.get("parameters", []), example, schemas)
                paths[path][method] = {**published, "operationId": name}
    return {**document, "paths": paths}


def _with_examples(spec: Any, shared: Any, example: Any, schemas: Schemas) -> dict[str, Any]:
    """An operation with its examples where OpenAPI has them; what is a reference becomes a copy of its own."""
    spec, values = dict(spec), example.get("parameters", {})
    own = [schemas.resolve(parameter) for parameter in spec.get("parameters", [])]
    named = {parameter["name"] for parameter in own}
    own += [row for row in map(schemas.resolve, shared) if row["name"] in values and row["name"] not in named]
    if own:
        spec["parameters"] = [
            {**row, "examples": {EXAMPLE: {"value": values[row["name"]]}}} if row["name"] in values else row
            for row in own
        ]
    if "body" in example:
        spec["requestBody"] = _with_example(spec["requestBody"], example["body"], schemas)
    if "answer" in example:
        status = next(status for status in spec["responses"] if status.startswith("2"))
        answer = _with_example(spec["responses"][status], example["answer"], schemas)
        spec["responses"] = {**spec["responses"], status: answer}
    return spec


def _with_example(described: Any, value: Any, schemas: Schemas) -> Any:
    described = schemas.resolve(described)
    media = {**described["content"]["application/json"], "examples": {EXAMPLE: {"value": value}}}
    return {**described, "content": {**described["content"], "application/json": media}}
