"""Mutants of request validation: a rule of a contract removed, or off by one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from bananastand.contracts.contract import Contract, load
from bananastand.contracts.operation import Operation as Compiled
from bananastand.contracts.schemas import Schemas
from contract_rules import NUMBERS, Rule, rules
from contracts import FILES, Operation, contract, named_operations, resolve

from .mutant import Mutant, site

__all__ = ["mutants"]


def mutants() -> Iterator[Mutant]:
    """Returns one mutant for each rule. Defaults are applied by the code, whose mutants are in `code`."""
    for provider in FILES:
        document = contract(provider)
        by_name = {operation.spec["operationId"]: operation for operation in named_operations(document)}
        for rule in rules(provider):
            if rule.keyword != "default" and not _idle(rule, by_name[rule.operation]):
                yield _mutant(rule, by_name[rule.operation])


def _idle(rule: Rule, found: Operation) -> bool:
    """Whether no request can break the rule.

    A parameter is always text, an empty list is the same as no parameter, and an empty parameter of the path makes
    another address.
    """
    if rule.place == "body":
        return False
    if rule.keyword in ("minItems", "minLength"):
        where = next(parameter["in"] for parameter in found.parameters if parameter["name"] == rule.place)
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
        for operation in genuine.operations:
            if operation.id == rule.operation and not operation.alias:
                operation.__dict__.update(
                    query=mutated.query, path=mutated.path, headers=mutated.headers, body=mutated.body,
                    bodies=mutated.bodies, body_required=mutated.body_required,
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
    """Returns the operation with the rule changed. References are written out, so that no other operation changes."""
    document = copy.deepcopy(genuine.document)
    found = next(
        operation for operation in named_operations(document) if operation.spec["operationId"] == rule.operation
    )
    spec = found.spec
    spec["parameters"] = [_resolved(document, item) for item in found.parameters]
    if "requestBody" in spec:
        spec["requestBody"] = _resolved(document, spec["requestBody"])
    if rule.place == "body":
        schema = spec["requestBody"]["content"]["application/json"]["schema"]
    else:
        parameter = next(row for row in spec["parameters"] if row["name"] == rule.place)
        if rule.keyword == "required" and not rule.path:
            parameter["required"] = False
        schema = parameter["schema"]
    for key in rule.path:
        schema = schema["items"] if key == "[]" else schema["properties"][key]
    if rule.keyword == "required":
        schema["required"] = [item for item in schema.get("required", ()) if item != rule.value]
    elif rule.keyword in NUMBERS:
        schema[rule.keyword] = changed
    else:
        del schema[rule.keyword]
    return Compiled(found.path, found.method, spec, [], Schemas(document))


def _resolved(document: Any, value: Any, depth: int = 0) -> Any:
    value = resolve(document, value)
    if depth > 20:
        return {}
    if isinstance(value, dict):
        return {key: _resolved(document, item, depth + 1) for key, item in value.items()}
    return [_resolved(document, item, depth + 1) for item in value] if isinstance(value, list) else copy.deepcopy(value)
