"""Calls that the contract says must be refused, made of one that succeeds. Knows no HTTP and no provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bananastand.contracts.contract import Contract
from bananastand.contracts.operation import Operation
from bananastand.contracts.schemas import Schemas

from .plan import MISSING, Step

__all__ = ["Wrong", "anonymous", "declared", "wrongs"]

NOBODY = {"integer": 999_999_999, "string": "nobody-has-this-id"}
REFUSED, UNKNOWN, FORBIDDEN = (400, 422), (404,), (401, 403)


@dataclass(frozen=True)
class Wrong:
    """A step with the statuses that refuse it."""

    step: Step
    statuses: tuple[int, ...]


def declared(contract: Contract, operation: Operation) -> list[Any]:
    """The parameters of an operation and those of its path, without references."""
    schemas, item = Schemas(contract.document), contract.document["paths"][operation.template]
    return [schemas.resolve(each) for each in [*item.get("parameters", []), *operation.spec.get("parameters", [])]]


def anonymous(contract: Contract, operation: Operation) -> bool:
    """Whether the contract has it answer without a key."""
    asked = operation.spec.get("security", contract.document.get("security", []))
    return not asked or {} in asked


def wrongs(contract: Contract, operation: Operation, step: Step) -> Iterator[Wrong]:
    """The step with one thing wrong at a time, where the contract names a status for it."""
    for each in _all(contract, operation, replace(step, status=None, expect={}, until={}, keep={})):
        named = tuple(status for status in each.statuses if str(status) in operation.responses)
        if named:
            yield replace(each, statuses=named)


def _all(contract: Contract, operation: Operation, step: Step) -> Iterator[Wrong]:
    schemas = Schemas(contract.document)
    if not anonymous(contract, operation):
        yield Wrong(replace(step, name="without a key", key="none"), FORBIDDEN)
        yield Wrong(replace(step, name="with a wrong key", key="wrong"), FORBIDDEN)
    for each in declared(contract, operation):
        name, schema = each["name"], schemas.resolve(each.get("schema", {}))
        if each["in"] == "header":
            continue
        if each.get("required") and 404 in map(_number, operation.responses) and not each.get("x-catch-all"):
            unknown = {**step.parameters, name: NOBODY.get(schema.get("type", "string"), "nobody-has-this-id")}
            yield Wrong(replace(step, name=f"with a {name} that nobody has", parameters=unknown), UNKNOWN)
            if schema.get("type") == "integer":
                other = {**step.parameters, name: "no-number"}
                yield Wrong(replace(step, name=f"with a {name} that is no number", parameters=other), REFUSED)
        elif not each.get("required") and (value := _wrong(schema)) is not MISSING:
            told = {**step.parameters, name: value}
            yield Wrong(replace(step, name=f"with {name}={value}", parameters=told), REFUSED)
    if isinstance(step.body, dict):
        yield from _bodies(schemas, operation, step, dict(step.body))


def _bodies(schemas: Schemas, operation: Operation, step: Step, body: dict[str, Any]) -> Iterator[Wrong]:
    request = schemas.resolve(operation.spec["requestBody"])
    schema = schemas.resolve(request["content"]["application/json"]["schema"])
    parts = [schema, *(schemas.resolve(each) for each in schema.get("allOf", []))]
    for name in sorted({name for part in parts for name in part.get("required", [])} & body.keys()):
        told = {key: value for key, value in body.items() if key != name}
        yield Wrong(replace(step, name=f"without {name}", body=told), REFUSED)
    for name, each in {key: value for part in parts for key, value in part.get("properties", {}).items()}.items():
        if (value := _wrong(schemas.resolve(each), json=True)) is not MISSING:
            yield Wrong(replace(step, name=f"with {name}={value!r}", body={**body, name: value}), REFUSED)
    yield Wrong(replace(step, name="with a body that is no JSON", body=MISSING, content="{"), REFUSED)


def _wrong(schema: Any, *, json: bool = False) -> Any:
    """A value that a schema does not take, MISSING where it takes any, or any text where only text can be sent."""
    kinds: Any = schema.get("type")
    kind = kinds if isinstance(kinds, str) else ""
    if "enum" in schema:
        return "no-such-value"
    if kind in ("integer", "number"):
        return schema["minimum"] - 1 if "minimum" in schema else "many"
    if kind == "boolean":
        return "perhaps"
    if schema.get("format") in ("date", "date-time"):
        return "yesterday"
    return {"string": 7, "array": "a", "object": "a"}.get(kind, MISSING) if json else MISSING


def _number(status: str) -> int:
    return int(status) if status.isdigit() else 0
