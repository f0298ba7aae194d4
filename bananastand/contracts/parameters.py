"""Reads path, query and header parameters as the types their contract gives them. Knows no values' meaning."""

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

INTEGER = re.compile(r"-?[0-9]{1,18}")
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
        self.required = [each["name"] for each in declared if each.get("required")]
        self.names = frozenset(self._key(each["name"]) for each in declared)
        self._declared = [_read(self._key(each["name"]), each, schemas) for each in declared]
        self._schema: Schema | None = None
        if declared:
            by_name = {self._key(each["name"]): each.get("schema", {}) for each in declared}
            required = [self._key(name) for name in self.required]
            self._schema = schemas.object_of(by_name, required, f"{where} of {operation}")

    def read(self, given: Mapping[str, Any], violations: list[Violation]) -> dict[str, Any]:
        """The declared parameters that were given, as their types. What does not fit is added to the violations."""
        if self._schema is None:
            return {}
        values = {each.name: _typed(each, given[each.name]) for each in self._declared if each.name in given}
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
        for each in schema.get(keyword, ()):
            types |= _types(schemas.resolve(each), schemas)
    return frozenset(types)


def _typed(parameter: _Parameter, value: Any) -> Any:
    if "array" not in parameter.types:
        return _scalar(parameter.types, value)
    listed: list[Any] = value if isinstance(value, list) else [value]
    if parameter.splits:
        listed = [part for each in listed for part in (each.split(",") if isinstance(each, str) else [each])]
    return [_scalar(parameter.items, each) for each in listed]


def _scalar(types: frozenset[str], value: Any) -> Any:
    """The value as an integer, number or boolean where it is written as one and the contract wants one.

    What is no text came from JSON (see `Service.dispatch`) and is what it is.
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
