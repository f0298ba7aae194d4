"""Invalid requests, derived from one that succeeds: what the contract says must be refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bananastand.contracts.contract import Contract
from bananastand.contracts.operation import Operation
from bananastand.contracts.schemas import Schemas

from .plan import MISSING, PlanStep

__all__ = ["InvalidRequest", "declared_parameters", "invalid_requests", "is_anonymous"]

UNKNOWN_IDS = {"integer": 999_999_999, "string": "nobody-has-this-id"}
REFUSED, UNKNOWN, FORBIDDEN = (400, 422), (404,), (401, 403)


@dataclass(frozen=True)
class InvalidRequest:
    """A step with the statuses that refuse it."""

    step: PlanStep
    statuses: tuple[int, ...]


def declared_parameters(contract: Contract, operation: Operation) -> list[Any]:
    """Return the parameters of an operation and those of its path, with references resolved."""
    schemas, item = Schemas(contract.document), contract.document["paths"][operation.template]
    declared = [*item.get("parameters", []), *operation.spec.get("parameters", [])]
    return [schemas.resolve(parameter) for parameter in declared]


def is_anonymous(contract: Contract, operation: Operation) -> bool:
    """Return whether the operation needs no key."""
    security = operation.spec.get("security", contract.document.get("security", []))
    return not security or {} in security


def invalid_requests(contract: Contract, operation: Operation, step: PlanStep) -> Iterator[InvalidRequest]:
    """Yield a valid step with one thing wrong at a time, where the contract names a status for it."""
    for candidate in _candidates(contract, operation, replace(step, status=None, expect={}, until={}, keep={})):
        statuses = tuple(status for status in candidate.statuses if str(status) in operation.responses)
        if statuses:
            yield replace(candidate, statuses=statuses)


def _candidates(contract: Contract, operation: Operation, step: PlanStep) -> Iterator[InvalidRequest]:
    schemas = Schemas(contract.document)
    if not is_anonymous(contract, operation):
        yield InvalidRequest(replace(step, name="without a key", key="none"), FORBIDDEN)
        yield InvalidRequest(replace(step, name="with a wrong key", key="wrong"), FORBIDDEN)
    for parameter in declared_parameters(contract, operation):
        if parameter["in"] != "header":
            yield from _parameter_candidates(schemas, operation, step, parameter)
    if isinstance(step.body, dict):
        yield from _body_candidates(schemas, operation, step, dict(step.body))


def _parameter_candidates(
    schemas: Schemas, operation: Operation, step: PlanStep, parameter: dict[str, Any]
) -> Iterator[InvalidRequest]:
    def with_value(title: str, value: Any, statuses: tuple[int, ...]) -> InvalidRequest:
        parameters = {**step.parameters, parameter["name"]: value}
        return InvalidRequest(replace(step, name=title, parameters=parameters), statuses)

    name, schema = parameter["name"], schemas.resolve(parameter.get("schema", {}))
    if parameter.get("required") and "404" in operation.responses and not parameter.get("x-catch-all"):
        unknown_id = UNKNOWN_IDS.get(schema.get("type", "string"), "nobody-has-this-id")
        yield with_value(f"with a {name} that nobody has", unknown_id, UNKNOWN)
        if schema.get("type") == "integer":
            yield with_value(f"with a {name} that is no number", "no-number", REFUSED)
    elif not parameter.get("required") and (value := _invalid_value(schema)) is not MISSING:
        yield with_value(f"with {name}={value}", value, REFUSED)


def _body_candidates(
    schemas: Schemas, operation: Operation, step: PlanStep, body: dict[str, Any]
) -> Iterator[InvalidRequest]:
    request = schemas.resolve(operation.spec["requestBody"])
    schema = schemas.resolve(request["content"]["application/json"]["schema"])
    parts = [schema, *(schemas.resolve(part) for part in schema.get("allOf", []))]
    for name in sorted({name for part in parts for name in part.get("required", [])} & body.keys()):
        rest = {key: value for key, value in body.items() if key != name}
        yield InvalidRequest(replace(step, name=f"without {name}", body=rest), REFUSED)
    properties = {name: part["properties"][name] for part in parts for name in part.get("properties", {})}
    for name, property_schema in properties.items():
        if (value := _invalid_value(schemas.resolve(property_schema), json=True)) is not MISSING:
            yield InvalidRequest(replace(step, name=f"with {name}={value!r}", body={**body, name: value}), REFUSED)
    yield InvalidRequest(replace(step, name="with a body that is no JSON", body=MISSING, content="{"), REFUSED)


def _invalid_value(schema: Any, *, json: bool = False) -> Any:
    """Return a value that a schema refuses; MISSING where there is none that can be sent.

    Outside of JSON every value is text, so that only numbers, booleans, dates and enumerations can be wrong.
    """
    types: Any = schema.get("type")
    kind = types if isinstance(types, str) else ""
    if "enum" in schema:
        return "no-such-value"
    if kind in ("integer", "number"):
        return schema["minimum"] - 1 if "minimum" in schema else "many"
    if kind == "boolean":
        return "perhaps"
    if schema.get("format") in ("date", "date-time"):
        return "yesterday"
    return {"string": 7, "array": "a", "object": "a"}.get(kind, MISSING) if json else MISSING
