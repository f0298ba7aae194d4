"""Reads path, query and header parameters as the types of their contract."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from .errors import Violation
from .schemas import Schema, Schemas

__all__ = ["Parameters", "Query", "parse_query"]

Query = dict[str, Any]

INTEGER = re.compile(r"-?[0-9]{1,60}")
NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?")
BOOLEANS = {"true": True, "false": False}


def parse_query(text: str) -> Query:
    """Names and values; a name that comes twice has a list. Empty pairs, as in `?&a=1&&b=2`, count for nothing."""
    query: Query = {}
    for pair in text.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        if "%" in pair or "+" in pair:
            name, value = unquote_plus(name), unquote_plus(value)
        if name in query:
            before = query[name]
            query[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            query[name] = value
    return query


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    types: frozenset[str]
    items: frozenset[str]
    splits: bool


class Parameters:
    """The parameters of one operation in one place: path, query or header."""

    __slots__ = ("_declared", "_schema", "names", "required", "where")

    def __init__(self, where: str, declared: list[Any], schemas: Schemas, operation: str) -> None:
        self.where = where
        self.required = [parameter["name"] for parameter in declared if parameter.get("required")]
        self.names = frozenset(self._key(parameter["name"]) for parameter in declared)
        self._declared = [_read(self._key(parameter["name"]), parameter, schemas) for parameter in declared]
        self._schema: Schema | None = None
        if declared:
            by_name = {self._key(parameter["name"]): parameter.get("schema", {}) for parameter in declared}
            required = [self._key(name) for name in self.required]
            self._schema = schemas.object_of(by_name, required, f"{where} of {operation}")

    def read(self, texts: Mapping[str, Any], violations: list[Violation]) -> dict[str, Any]:
        """Return the declared parameters that were sent, as their types; add what does not fit to the violations."""
        if self._schema is None:
            return {}
        values = {
            parameter.name: _typed(parameter, texts[parameter.name])
            for parameter in self._declared
            if parameter.name in texts
        }
        if not self._schema.fits(values):
            violations.extend(self._schema.violations(self.where, values))
        return values

    def _key(self, name: str) -> str:
        return name.lower() if self.where == "header" else name


def _read(name: str, declared: Any, schemas: Schemas) -> _Parameter:
    schema = schemas.resolve(declared.get("schema", {}))
    types = _types(schema, schemas)
    items = _types(schemas.resolve(schema.get("items", {})), schemas)
    return _Parameter(name, types, items, splits=declared.get("explode") is False)


def _types(schema: Any, schemas: Schemas) -> frozenset[str]:
    named = schema.get("type", ())
    types = {named} if isinstance(named, str) else set(named)
    for keyword in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(keyword, ()):
            types |= _types(schemas.resolve(part), schemas)
    return frozenset(types)


def _typed(parameter: _Parameter, value: Any) -> Any:
    if "array" not in parameter.types:
        return _scalar(parameter.types, value)
    listed: list[Any] = value if isinstance(value, list) else [value]
    if parameter.splits:
        listed = [part for item in listed for part in (item.split(",") if isinstance(item, str) else [item])]
    return [_scalar(parameter.items, item) for item in listed]


def _scalar(types: frozenset[str], value: Any) -> Any:
    """The value as an integer, number or boolean where it is written as one and the contract wants one.

    A value that is no text came from JSON already.
    """
    if not isinstance(value, str):
        return value
    if "integer" in types and INTEGER.fullmatch(value):
        return int(value)
    if "number" in types and NUMBER.fullmatch(value):
        return float(value)
    if "boolean" in types and value in BOOLEANS:
        return BOOLEANS[value]
    return value
