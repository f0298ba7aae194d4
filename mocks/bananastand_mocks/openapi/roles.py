"""Finds the resources of a document by convention: a collection at a path, and its items one parameter below."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bananastand.contracts.contract import Contract
from bananastand.contracts.operation import Operation

from .schema_shapes import Shapes

__all__ = ["Collection", "Role", "find_roles"]

ITEM = re.compile(r"(.*)/\{([^{}/]+)\}")
Kind = Literal["list", "create", "read", "replace", "change", "remove", "other"]
ON_ITEM: Mapping[str, Kind] = {
    "GET": "read", "HEAD": "read", "PUT": "replace", "PATCH": "change", "POST": "change", "DELETE": "remove",
}  # fmt: skip
ON_COLLECTION: Mapping[str, Kind] = {"GET": "list", "POST": "create", "PUT": "replace", "PATCH": "change"}


@dataclass(frozen=True, slots=True)
class Collection:
    """Resources that are created, listed and removed together.

    Attributes:
        template: The path of the collection.
        parameter: The path parameter that names an item; empty for a single thing, such as settings.
        id_field: The field of a resource that has the parameter's value; None if no field has it.
        schema: What a resource is.
        is_open: Whether it can grow by POST; in one that cannot, every item exists until it is removed.
    """

    template: str
    parameter: str
    id_field: str | None
    schema: Any
    is_open: bool


@dataclass(frozen=True, slots=True)
class Role:
    """What an operation does with the resources of a collection."""

    kind: Kind
    collection: Collection | None = None


def find_roles(contract: Contract) -> dict[str, Role]:
    """Return the role of each operation, by its operationId."""
    shapes = Shapes(contract.document)
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in contract.operations:
        by_path.setdefault(operation.template, {})[operation.method] = operation
    collections = dict(_collections(by_path, shapes))
    return {
        operation.id: _role(template, method, operation, by_path, collections, shapes)
        for template, methods in by_path.items()
        for method, operation in methods.items()
    }


def _collections(by_path: Mapping[str, Mapping[str, Operation]], shapes: Shapes) -> Any:
    for template, methods in by_path.items():
        if (found := ITEM.fullmatch(template)) is not None:
            yield found[1], _collection(found[1], found[2], methods, by_path.get(found[1], {}), shapes)
    for template, methods in by_path.items():
        is_item = ITEM.fullmatch(template) is not None
        has_items = any((found := ITEM.fullmatch(other)) and found[1] == template for other in by_path)
        if is_item or has_items or "GET" not in methods:
            continue
        if "POST" in methods and shapes.list_path(shapes.success(methods["GET"])) is not None:
            yield template, _collection(template, "id", {}, methods, shapes)
        elif {"PUT", "PATCH"} & methods.keys() and "POST" not in methods:
            yield template, Collection(template, "", None, shapes.success(methods["GET"]), is_open=False)


def _collection(
    template: str,
    parameter: str,
    item: Mapping[str, Operation],
    above: Mapping[str, Operation],
    shapes: Shapes,
) -> Collection:
    schema = _resource_schema(item, above, shapes)
    kinds = [shapes.parameter_type(operation, parameter) for operation in item.values()]
    id_field = shapes.id_field(schema, parameter, kinds[0] if kinds else "")
    return Collection(template, parameter, id_field, shapes.inner(schema, parameter), is_open="POST" in above)


def _resource_schema(item: Mapping[str, Operation], above: Mapping[str, Operation], shapes: Shapes) -> Any:
    for operation in (item.get("GET"), above.get("POST"), item.get("PUT"), item.get("PATCH")):
        if operation is not None and shapes.properties(schema := shapes.success(operation)):
            return schema
    if (listing := above.get("GET")) is not None:
        schema = shapes.success(listing)
        if (path := shapes.list_path(schema)) is not None:
            return shapes.items_at(schema, path)
    body = next((operation for operation in (above.get("POST"), item.get("PUT")) if operation is not None), None)
    return shapes.request(body) if body is not None else {}


def _role(
    template: str,
    method: str,
    operation: Operation,
    by_path: Mapping[str, Mapping[str, Operation]],
    collections: Mapping[str, Collection],
    shapes: Shapes,
) -> Role:
    found = ITEM.fullmatch(template)
    if found is not None and method in ON_ITEM:
        return Role(ON_ITEM[method], collections[found[1]])
    if (collection := collections.get(template)) is not None:
        if not collection.parameter and method in ("GET", "PUT", "PATCH"):
            return Role({"GET": "read", "PUT": "replace", "PATCH": "change"}[method], collection)  # type: ignore[arg-type]
        kind = ON_COLLECTION.get(method, "other")
        if kind == "list" and shapes.list_path(shapes.success(operation)) is None:
            kind = "other"
        if kind in ("replace", "change") and collection.id_field not in shapes.properties(shapes.request(operation)):
            kind = "other"
        return Role(kind, collection)
    parent = template.rpartition("/")[0]
    if method == "GET" and parent in collections and "{" not in template.rpartition("/")[2]:
        schema = shapes.success(operation)
        path = shapes.list_path(schema)
        if path is not None and shapes.is_same(shapes.items_at(schema, path), collections[parent].schema):
            return Role("list", collections[parent])
    return Role("other")
