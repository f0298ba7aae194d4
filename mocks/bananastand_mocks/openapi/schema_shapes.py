"""Reads the schemas of operations: what a success looks like, where its list is, which field is the id."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bananastand.contracts.operation import Operation

from .upgrade import resolve
from .values import Drawer

__all__ = ["Shapes", "json_media"]

CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
DEEPEST = 8  # alternatives within alternatives
IDS = ("id", "uuid", "key", "slug", "name", "code", "number")


class Shapes:
    """The schemas of one upgraded document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document, self._drawer = document, Drawer(document, "")

    def parameter_type(self, operation: Operation, name: str) -> str:
        """Return the JSON type of a path parameter; an empty text where the document does not say."""
        item = self._document["paths"][operation.template]
        for parameter in (*operation.spec.get("parameters", ()), *item.get("parameters", ())):
            parameter = resolve(self._document, parameter)
            if parameter["name"] == name and parameter["in"] == "path":
                named = self.flat(parameter.get("schema", {})).get("type", "")
                return named if isinstance(named, str) else ""
        return ""

    def success(self, operation: Operation) -> Any:
        """Return the schema of the operation's first success; an empty one where it has no JSON."""
        responses = operation.spec["responses"]
        key = next((key for key in operation.statuses if key.startswith("2")), "default")
        return json_media(resolve(self._document, responses.get(key, {}))).get("schema", {})

    def request(self, operation: Operation) -> Any:
        """Return the schema of the operation's JSON body, or of its form; an empty one where it takes none."""
        body = resolve(self._document, operation.spec.get("requestBody", {}))
        media = json_media(body) or next(iter(body.get("content", {}).values()), {})
        return media.get("schema", {})

    def flat(self, schema: Any, level: int = 0) -> dict[str, Any]:
        """Return a schema without $ref and allOf; of alternatives the first that is not null."""
        flat = self._drawer.flatten(schema)
        for variant in (flat.get("oneOf") or flat.get("anyOf") or ()) if level < DEEPEST else ():
            if self._drawer.flatten(variant).get("type") != "null":
                inner = self.flat(variant, level + 1)
                return {**inner, "properties": {**flat.get("properties", {}), **inner.get("properties", {})}}
        return flat

    def variants(self, schema: Any, level: int = 0) -> list[dict[str, Any]]:
        """Return the alternatives of a schema without $ref and allOf; the schema itself if it has none."""
        flat = self._drawer.flatten(schema)
        parts = (flat.get("oneOf") or flat.get("anyOf") or ()) if level < DEEPEST else ()
        beside = {key: value for key, value in flat.items() if key not in ("oneOf", "anyOf")}
        return [inner for part in parts for inner in self.variants({"allOf": [part, beside]}, level + 1)] or [flat]

    def variant(self, schema: Any, body: Mapping[str, Any]) -> Any:
        """Return the alternative that an object is of: what the discriminator names, else what fits its fields best."""
        flat = self._drawer.flatten(schema)
        parts: Sequence[Any] = flat.get("oneOf") or flat.get("anyOf") or ()
        if not parts:
            return schema
        discriminator = flat.get("discriminator", {})
        label = str(body.get(discriminator.get("propertyName", ""), ""))
        target = discriminator.get("mapping", {}).get(label, label).rpartition("/")[2]
        named = [part for part in parts if target and str(part.get("$ref", "")).rpartition("/")[2] == target]
        chosen = named[0] if named else max(parts, key=lambda part: self._count_fitting(part, body))
        return {"allOf": [chosen, {key: value for key, value in flat.items() if key not in ("oneOf", "anyOf")}]}

    def _count_fitting(self, schema: Any, body: Mapping[str, Any]) -> int:
        """How many fields of an object a schema has, less those that it must not or does not have."""
        flat = self._drawer.flatten(schema)
        properties: Mapping[str, Any] = flat.get("properties", {})
        wrong = [name for name in flat.get("required", ()) if name not in body]
        for name in properties.keys() & body.keys():
            inner = self._drawer.flatten(properties[name])
            values = [inner["const"]] if "const" in inner else inner.get("enum")
            wrong += [name] * len(properties) if values and body[name] not in values else []
        return len(properties.keys() & body.keys()) - len(wrong)

    def drawer(self, *seed: object) -> Drawer:
        """Return what draws values that depend on a seed."""
        return Drawer(self._document, ":".join(map(str, seed)))

    def allows_null(self, schema: Any, level: int = 0) -> bool:
        """Return whether null is a value of a schema."""
        flat = self._drawer.flatten(schema)
        named = flat.get("type", [])
        variants = (flat.get("oneOf") or flat.get("anyOf") or ()) if level < DEEPEST else ()
        return (
            named == "null"
            or (isinstance(named, list) and "null" in named)
            or any(self.allows_null(variant, level + 1) for variant in variants)
        )

    def properties(self, schema: Any) -> dict[str, Any]:
        """Return the properties of a schema of objects; none for another."""
        return self.flat(schema).get("properties", {})

    def list_path(self, schema: Any) -> tuple[str, ...] | None:
        """Return where the list of resources is in a response: at its top, or in a property; None without one."""
        if self._is_list(schema):
            return ()
        lists = {name: inner for name, inner in self.properties(schema).items() if self._is_list(inner)}
        of_objects = [name for name, inner in lists.items() if self.properties(self.flat(inner).get("items", {}))]
        name = next(iter((*of_objects, *lists)), None)
        return None if name is None else (name,)

    def items_at(self, schema: Any, path: tuple[str, ...]) -> Any:
        """Return the schema of the items of the list at a path."""
        for name in path:
            schema = self.properties(schema)[name]
        return self.flat(schema).get("items", {})

    def id_field(self, schema: Any, parameter: str, kind: str = "") -> str | None:
        """Return the field of a resource that has the value of a path parameter, such as id for petId.

        Args:
            schema: What an operation returns.
            parameter: The name of the parameter.
            kind: Its JSON type; a field of another name must have the same.
        """
        names = self.properties(self.inner(schema, parameter))
        snake = _snake(parameter)
        exact = [name for name in names if _snake(name) == snake]
        ends = [name for name in names if snake.endswith(f"_{_snake(name)}")]
        return next(iter((*exact, *ends, *self._usual_ids(names, kind))), None)

    def _usual_ids(self, properties: Mapping[str, Any], kind: str) -> list[str]:
        """The usual names of ids among properties, those of the type first."""
        present = [name for name in IDS if name in properties]
        return sorted(present, key=lambda name: kind not in ("", self.flat(properties[name]).get("type", "")))

    def inner_path(self, schema: Any, parameter: str) -> tuple[str, ...]:
        """Return where the resource is in a response: at its top, or in the only property that is an object."""
        properties = self.properties(schema)
        names = {_snake(name) for name in properties}
        if names & {*IDS, _snake(parameter)}:
            return ()
        objects = [name for name, inner in properties.items() if self.properties(inner)]
        return (objects[0],) if len(objects) == 1 else ()

    def inner(self, schema: Any, parameter: str) -> Any:
        """Return the schema of the resource in a response."""
        for name in self.inner_path(schema, parameter):
            schema = self.properties(schema)[name]
        return schema

    def is_same(self, one: Any, other: Any) -> bool:
        """Return whether two schemas describe the same resource."""
        return one == other or (bool(names := self.properties(one)) and names.keys() == self.properties(other).keys())

    def _is_list(self, schema: Any) -> bool:
        flat = self.flat(schema)
        named = flat.get("type")
        return "array" in named if isinstance(named, list) else named == "array"


def json_media(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the JSON media type object of a response or a request body; an empty one where it has none."""
    for kind, media in holder.get("content", {}).items():
        if "json" in kind:
            return media
    return {}


def _snake(name: str) -> str:
    return CAMEL.sub("_", name).lower().replace("-", "_")
