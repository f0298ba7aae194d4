"""The contract files, read and checked with a validator that is independent of the mocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

import bananastand
import bananastand_mocks

PACKAGE = Path(bananastand_mocks.__file__).parent
BANANA_API = Path(bananastand.__file__).parent / "banana_api"
FILES = {
    "bananadev": BANANA_API / "bananadev.yaml",
    "falai": PACKAGE / "lowcodeapi" / "falai.yaml",
    "banana-native": BANANA_API / "banana.yaml",
    "fal-native": PACKAGE / "falai" / "openapi.yaml",
    "fal-queue": PACKAGE / "falqueue" / "openapi.yaml",
    "paperbanana": PACKAGE / "paperbanana" / "openapi.yaml",
    "gobananas": PACKAGE / "gobananas" / "openapi.yaml",
}
METHODS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True)
class Operation:
    """One operation at one address, with the document around it."""

    document: Any
    path: str
    method: str
    spec: Any

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def parameters(self) -> list[Any]:
        """Its own parameters and those of its path."""
        shared = self.document["paths"][self.path].get("parameters", [])
        return [resolve(self.document, parameter) for parameter in [*shared, *self.spec.get("parameters", [])]]

    @property
    def body(self) -> Any:
        """The schema of its JSON body, None where it takes none."""
        request = resolve(self.document, self.spec.get("requestBody", {}))
        return request.get("content", {}).get("application/json", {}).get("schema")

    @property
    def security(self) -> set[str]:
        """Where its key goes: query, header or body; nowhere if it takes none."""
        schemes = self.document["components"]["securitySchemes"]
        schemes_of = self.spec.get("security", self.document.get("security", []))
        body = resolve(self.document, self.body or {}).get("properties", {})
        places = {schemes[name].get("in", "header") for item in schemes_of for name in item}
        return places or ({"body"} if "apiKey" in body else set())

    @property
    def anonymous(self) -> bool:
        """Whether it asks for no key."""
        return self.spec.get("security") == []


@cache
def contract(name: str) -> Any:
    """The parsed file of a contract, by the name that claims and --provider use. It is not to be changed."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(FILES[name].read_text(encoding="utf-8"), loader)


def operations(document: Any) -> Iterator[Operation]:
    """Every operation of a document, aliases too."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield Operation(document, path, method, item[method])


def named_operations(document: Any) -> Iterator[Operation]:
    """The operations with an operationId: no aliases."""
    return (found for found in operations(document) if "operationId" in found.spec)


def operation(document: Any, name: str) -> Operation:
    """The operation with this operationId."""
    return next(op for op in operations(document) if op.spec.get("operationId") == name)


def resolve(document: Any, value: Any) -> Any:
    """The value, or what its $ref names."""
    while isinstance(value, dict) and "$ref" in value:
        found = document
        for key in value["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        value = found
    return value


def errors(document: Any, schema: Any, value: Any) -> list[str]:
    """What of a value does not fit a schema of the document, in the validator's words."""
    validator = jsonschema_rs.Draft202012Validator(
        _absolute(schema), registry=_registry(_Held(document)), validate_formats=True, offline=True
    )
    return [error.message for error in validator.iter_errors(value)]


@dataclass(frozen=True, eq=False)
class _Held:
    """A document as the key of a cache: itself, not its like."""

    document: Any

    def __hash__(self) -> int:
        return id(self.document)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.document is self.document


@lru_cache(maxsize=32)
def _registry(held: _Held) -> Any:
    return jsonschema_rs.Registry([("contract:///", held.document)])


def request_errors(found: Operation, query: dict[str, str], body: Any = None) -> list[str]:
    """What of a request does not fit its operation. Whole numbers and true and
    false in the query count as what they are where one is due."""
    wrong: list[str] = []
    for parameter in found.parameters:
        if parameter["in"] != "query":
            continue
        if parameter["name"] in query:
            wrong += errors(
                found.document,
                parameter["schema"],
                _typed(found.document, parameter["schema"], query[parameter["name"]]),
            )
        elif parameter.get("required"):
            wrong.append(f"{parameter['name']} is missing")
    if found.body is not None:
        wrong += errors(found.document, found.body, body)
    return wrong


def _typed(document: Any, schema: Any, value: str) -> Any:
    kind = resolve(document, schema).get("type")
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    return int(value) if kind == "integer" and value.lstrip("-").isdigit() else value


def _absolute(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: f"contract:///{item}" if key == "$ref" else _absolute(item) for key, item in value.items()}
    return [_absolute(item) for item in value] if isinstance(value, list) else value
