"""Keeps the resources of a document in a world: created, listed, read, replaced, changed, removed."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from bananastand.contracts.errors import ProviderError

from ..kernel.call import ApiCall
from .patching import apply_patch
from .roles import Collection
from .schema_shapes import Shapes

__all__ = ["Store"]

Resource = dict[str, Any]
SEEDED = 2  # resources of a collection without examples, in a development world
CREATED = ("created", "created_at", "createdAt", "creation_date", "date_created")
CHANGED = ("updated", "updated_at", "updatedAt", "modified", "modified_at", "last_modified")
MAX_RESOURCES = 10_000  # of a collection


class Store:
    """The resources of one API in all worlds.

    Args:
        name: The API's name, which its tables begin with.
        collections: All collections by template.
        shapes: The document's schemas.
        examples: The resources of the document's examples, by the template of their collection.
    """

    def __init__(
        self,
        name: str,
        collections: Mapping[str, Collection],
        shapes: Shapes,
        examples: Mapping[str, Sequence[Resource]],
    ) -> None:
        self._name, self._collections, self._shapes, self._examples = name, collections, shapes, examples

    def check_parents(self, call: ApiCall) -> None:
        """Refuse a call below a resource that does not exist. Raises ProviderError not_found."""
        template = call.operation.template
        for collection in self._collections.values():
            item = f"{collection.template}/{{{collection.parameter}}}"
            if collection.is_open and collection.parameter and template.startswith(f"{item}/"):
                self.read(call, collection)

    def list(self, call: ApiCall, collection: Collection) -> list[Resource]:
        """Return the resources of a collection, oldest first."""
        rows = self._rows(call, collection)
        return [row for row in rows.values() if row is not None]

    def read(self, call: ApiCall, collection: Collection) -> Resource:
        """Return a resource. Raises ProviderError not_found."""
        rows, key = self._rows(call, collection), _key(call, collection)
        if key not in rows and not collection.is_open:
            rows[key] = self._draw(call, collection, key)
        if rows.get(key) is None:
            raise ProviderError("not_found", f"there is no {key} in {self._path(call, collection)}")
        return rows[key]

    def create(self, call: ApiCall, collection: Collection, body: Mapping[str, Any]) -> Resource:
        """Add a resource. Raises ProviderError conflict where its id is taken and the document has a 409."""
        rows = self._rows(call, collection)
        if len(rows) >= MAX_RESOURCES:
            raise ProviderError("conflict", f"the collection has {MAX_RESOURCES} resources: remove some")
        key = self._new_id(call, collection, rows, body)
        if rows.get(str(key)) is not None and call.operation.names(409) and "409" in call.operation.statuses:
            raise ProviderError("conflict", f"there is {key} in {self._path(call, collection)} already")
        resource = self._overlay(collection, self._draw(call, collection, key, body), body)
        if collection.id_field is not None:
            resource[collection.id_field] = key
        rows[str(key)] = resource
        self._stamp(call, collection, resource, (*CREATED, *CHANGED))
        return resource

    def replace(self, call: ApiCall, collection: Collection, body: Mapping[str, Any]) -> Resource:
        """Replace a resource; one that does not exist is created where nothing else creates them.

        Raises:
            ProviderError: not_found.
        """
        rows, key = self._rows(call, collection), _key(call, collection) or str(body.get(collection.id_field or "", ""))
        may_create = not collection.is_open or "201" in call.operation.statuses
        if rows.get(key) is None and not may_create:
            raise ProviderError("not_found", f"there is no {key} in {self._path(call, collection)}")
        resource = self._overlay(collection, self._draw(call, collection, key, body), body)
        old = rows.get(key)
        if old is not None and collection.id_field is not None and collection.id_field in old:
            resource[collection.id_field] = old[collection.id_field]
        rows[key] = resource
        self._stamp(call, collection, resource, CHANGED)
        return resource

    def change(self, call: ApiCall, collection: Collection, body: Mapping[str, Any]) -> Resource:
        """Change fields of a resource, as RFC 7396 merges them. Raises ProviderError not_found."""
        if not call.path.get(collection.parameter) and collection.parameter:
            return self.replace(call, collection, body)
        resource = self.read(call, collection)
        changed = self._overlay(collection, resource, body)
        if collection.id_field is not None and collection.id_field in resource:
            changed[collection.id_field] = resource[collection.id_field]
        resource.clear()
        resource.update(changed)
        self._stamp(call, collection, resource, CHANGED)
        return resource

    def patch(self, call: ApiCall, collection: Collection, operations: Any) -> Resource:
        """Change a resource as a JSON Patch says (RFC 6902); fields that are only read stay as they are.

        Raises:
            ProviderError: not_found; violation, where the patch is wrong; conflict, where a `test` in it fails.
        """
        resource = self.read(call, collection)
        patched = apply_patch(resource, operations)
        properties = self._shapes.properties(collection.schema)
        fixed = {name for name in resource if self._shapes.flat(properties.get(name, {})).get("readOnly")}
        if collection.id_field is not None:
            fixed.add(collection.id_field)
        changed = self._overlay(collection, {}, {name: value for name, value in patched.items() if name not in fixed})
        changed |= {name: resource[name] for name in fixed if name in resource}
        resource.clear()
        resource.update(changed)
        self._stamp(call, collection, resource, CHANGED)
        return resource

    def remove(self, call: ApiCall, collection: Collection) -> Resource:
        """Remove a resource, and return it. Raises ProviderError not_found."""
        resource = self.read(call, collection)
        self._rows(call, collection)[_key(call, collection)] = None
        return resource

    def _rows(self, call: ApiCall, collection: Collection) -> dict[str, Any]:
        """The rows of a collection by id, None for a removed one; filled at first as the kind of the world says."""
        path = self._path(call, collection)
        collections = call.world.table(self._name)
        if path in collections:
            return collections[path]
        rows: dict[str, Any] = {}
        if len(collections) < MAX_RESOURCES:
            collections[path] = rows
        if call.world.kind != "empty" and collection.parameter and collection.is_open:
            for resource in self._first(call, collection):
                rows[str(resource.get(collection.id_field or "", len(rows) + 1))] = resource
        return rows

    def _first(self, call: ApiCall, collection: Collection) -> list[Resource]:
        """The resources of the document's examples; drawn ones in a development world without any."""
        found = [copy.deepcopy(resource) for resource in self._examples.get(collection.template, ())]
        if found or call.world.kind != "development":
            return found
        return [self._draw(call, collection, self._numbered(call, collection, n)) for n in range(1, SEEDED + 1)]

    def _numbered(self, call: ApiCall, collection: Collection, number: int) -> Any:
        return number if self._id_type(collection) == "integer" else self._drawn_id(call, collection, number)

    def _draw(self, call: ApiCall, collection: Collection, key: Any, body: Mapping[str, Any] | None = None) -> Resource:
        """A resource that depends on the world's seed, its collection and its id, and is of the kind of the body."""
        schema = collection.schema if body is None else self._shapes.variant(collection.schema, body)
        drawn = self._shapes.drawer(call.world.seed, self._path(call, collection), key).draw(schema)
        resource: Resource = drawn if isinstance(drawn, dict) else {}
        for name, value in call.path.items():
            if name in resource and name != collection.id_field and not isinstance(resource[name], dict | list):
                resource[name] = self._typed(collection, name, value)
        if collection.id_field is not None and collection.parameter:
            resource[collection.id_field] = self._typed(collection, collection.id_field, key)
        return resource

    def _overlay(self, collection: Collection, base: Resource, body: Mapping[str, Any]) -> Resource:
        """A resource with the fields of a body, as far as the resource has them and they are not read-only."""
        flat = self._shapes.flat(self._shapes.variant(collection.schema, {**base, **body}))
        properties = flat.get("properties", {})
        is_open = not properties or "discriminator" in flat  # its derived schemas have more
        is_free = flat.get("additionalProperties", is_open) is not False
        merged = dict(base)
        for name, value in body.items():
            schema = self._shapes.flat(properties[name]) if name in properties else None
            if (schema is None and not is_free) or (schema is not None and schema.get("readOnly")):
                continue
            if value is None and schema is not None and not self._shapes.allows_null(properties[name]):
                merged.pop(name, None)
            else:
                merged[name] = _merge(merged.get(name), value)
        return {
            name: value
            for name, value in merged.items()
            if not self._shapes.flat(properties.get(name, {})).get("writeOnly")
        }

    def _new_id(self, call: ApiCall, collection: Collection, rows: Mapping[str, Any], body: Mapping[str, Any]) -> Any:
        field = collection.id_field
        schema = self._shapes.flat(self._shapes.properties(collection.schema).get(field or "", {}))
        if field is not None and body.get(field) is not None and not schema.get("readOnly"):
            return body[field]
        if self._id_type(collection) == "integer":
            return next(number for number in count(len(rows) + 1) if str(number) not in rows)
        return self._drawn_id(call, collection, len(rows) + 1)

    def _drawn_id(self, call: ApiCall, collection: Collection, number: int) -> Any:
        schema = self._shapes.flat(self._shapes.properties(collection.schema).get(collection.id_field or "", {}))
        if schema.get("format") == "uuid":
            return call.world.ids.uuid()
        if "pattern" in schema:
            schema = {key: value for key, value in schema.items() if key not in ("example", "examples")}
            return self._shapes.drawer(call.world.seed, collection.template, "id", number).draw(schema)
        return call.world.ids.letters(12)

    def _id_type(self, collection: Collection) -> str:
        schema = self._shapes.flat(self._shapes.properties(collection.schema).get(collection.id_field or "", {}))
        named = schema.get("type", "integer" if collection.id_field is None else "string")
        return next((kind for kind in named if kind != "null"), "string") if isinstance(named, list) else named

    def _typed(self, collection: Collection, name: str, value: Any) -> Any:
        schema = self._shapes.flat(self._shapes.properties(collection.schema).get(name, {}))
        is_number = schema.get("type") in ("integer", ["integer", "null"])
        return int(value) if is_number and str(value).lstrip("-").isdecimal() else value

    def _stamp(self, call: ApiCall, collection: Collection, resource: Resource, names: Iterable[str]) -> None:
        """Set the times of a resource, if it has such fields, to the world's."""
        properties = self._shapes.properties(collection.schema)
        for name in names:
            if self._shapes.flat(properties.get(name, {})).get("format") == "date-time":
                resource[name] = f"{call.world.clock.moment():%Y-%m-%dT%H:%M:%SZ}"

    def _path(self, call: ApiCall, collection: Collection) -> str:
        path = collection.template
        for name, value in call.path.items():
            path = path.replace(f"{{{name}}}", value)
        return path


def _key(call: ApiCall, collection: Collection) -> str:
    return call.path.get(collection.parameter, "") if collection.parameter else ""


def _merge(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{name: _merge(old.get(name), value) for name, value in new.items()}}
