"""Mutants of what a mock asks of a request: a rule of the contract gone, or off by one.

Also the list of those rules, by which `test_rules.py` knows whether each has a test.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bananastand.contracts.contract import Contract, load
from bananastand.contracts.operation import Operation as Compiled
from bananastand.contracts.schemas import Schemas
from contracts import FILES, Operation, contract, resolve

from .mutant import Mutant, site
from .shapes import named_operations

__all__ = ["Rule", "mutants", "rules"]

NUMBERS = {"minimum": -1, "maximum": 1, "minLength": -1, "maxLength": 1, "minItems": -1, "maxItems": 1}
WHOLE = ("enum", "const", "pattern", "format", "type", "required")
HUGE = 2**53 - 1  # a bound of JSON itself, not of a document
DEEPEST = 6


@dataclass(frozen=True)
class Rule:
    """One keyword on one value of a request: `place` is body or a parameter's name, `path` leads on from there."""

    provider: str
    operation: str
    place: str
    path: tuple[str, ...]
    keyword: str
    value: Any

    def __str__(self) -> str:
        where = ".".join((self.place, *self.path))
        return f"{self.provider}.{self.operation} {where} {self.keyword}={self.value}"


def rules(provider: str) -> Iterator[Rule]:
    """Every rule on the requests of a provider, `default` too."""
    document = contract(provider)
    for found in named_operations(document):
        name = found.spec["operationId"]
        for each in found.parameters:
            if each.get("required") and each["in"] != "path":
                yield Rule(provider, name, each["name"], (), "required", True)
            for path, keyword, value in _within(document, each["schema"], ()):
                yield Rule(provider, name, each["name"], path, keyword, value)
        if found.body is not None:
            for path, keyword, value in _within(document, found.body, ()):
                yield Rule(provider, name, "body", path, keyword, value)


def _within(document: Any, schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    schema = resolve(document, schema)
    if not isinstance(schema, dict) or len(path) > DEEPEST:
        return
    for keyword in (*NUMBERS, *WHOLE, "default"):
        if keyword == "required":
            for name in schema.get("required", ()):
                yield path, "required", name
        elif keyword in schema and not (keyword in NUMBERS and schema[keyword] in (HUGE, -HUGE)):
            yield path, keyword, schema[keyword]
    for name, each in schema.get("properties", {}).items():
        yield from _within(document, each, (*path, name))
    if isinstance(schema.get("items"), dict):
        yield from _within(document, schema["items"], (*path, "[]"))


def mutants() -> Iterator[Mutant]:
    """One or two for each rule but the defaults, which stand in the code (see `code`)."""
    for provider in FILES:
        document = contract(provider)
        by_name = {each.spec["operationId"]: each for each in named_operations(document)}
        for rule in rules(provider):
            if rule.keyword != "default" and not _idle(rule, by_name[rule.operation]):
                yield _mutant(rule, by_name[rule.operation])


def _idle(rule: Rule, found: Operation) -> bool:
    """Whether nothing can break the rule: a parameter is text, and so of the type string, and none is no list at all.

    A place in the path is never empty, or the address is another.
    """
    if rule.place == "body":
        return False
    if rule.keyword in ("minItems", "minLength"):
        where = next(each["in"] for each in found.parameters if each["name"] == rule.place)
        return where == "path" or rule.keyword == "minItems"
    if rule.keyword != "type":
        return False
    return rule.value in ("string", "array") or (isinstance(rule.value, list) and "string" in rule.value)


def _mutant(rule: Rule, found: Operation) -> Mutant:
    where = ".".join((rule.place, *rule.path))
    changed = rule.value + NUMBERS[rule.keyword] if rule.keyword in NUMBERS else "nothing"

    def apply() -> None:
        genuine = load(FILES[rule.provider])
        mutated = _compiled(genuine, rule, changed)
        for each in genuine.operations:
            if each.id == rule.operation and not each.alias:
                each.__dict__.update(
                    query=mutated.query, path=mutated.path, headers=mutated.headers, body=mutated.body,
                    body_required=mutated.body_required,
                )  # fmt: skip

    return Mutant(
        rule.provider,
        "mock",
        rule.operation,
        f"rule {rule.keyword}",
        f"{where} {rule.value} is {changed}",
        frozenset([site("mock", rule.provider, rule.operation)]),
        apply,
    )


def _compiled(genuine: Contract, rule: Rule, changed: Any) -> Compiled:
    """The operation with the rule changed, its references written out so that no other operation is touched."""
    document = copy.deepcopy(genuine.document)
    found = next(each for each in named_operations(document) if each.spec["operationId"] == rule.operation)
    spec = found.spec
    spec["parameters"] = [_whole(document, each) for each in found.parameters]
    if "requestBody" in spec:
        spec["requestBody"] = _whole(document, spec["requestBody"])
    if rule.place == "body":
        schema = spec["requestBody"]["content"]["application/json"]["schema"]
    else:
        parameter = next(each for each in spec["parameters"] if each["name"] == rule.place)
        if rule.keyword == "required" and not rule.path:
            parameter["required"] = False
        schema = parameter["schema"]
    for key in rule.path:
        schema = schema["items"] if key == "[]" else schema["properties"][key]
    if rule.keyword == "required":
        schema["required"] = [each for each in schema.get("required", ()) if each != rule.value]
    elif rule.keyword in NUMBERS:
        schema[rule.keyword] = changed
    else:
        del schema[rule.keyword]
    return Compiled(found.path, found.method, spec, [], Schemas(document))


def _whole(document: Any, value: Any, depth: int = 0) -> Any:
    value = resolve(document, value)
    if depth > 20:
        return {}
    if isinstance(value, dict):
        return {key: _whole(document, each, depth + 1) for key, each in value.items()}
    return [_whole(document, each, depth + 1) for each in value] if isinstance(value, list) else copy.deepcopy(value)
