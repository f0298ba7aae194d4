"""Reads what contracts do not read of requests: credentials, forms, objects in queries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bananastand.asgi.credentials import basic_credentials, bearer_token
from bananastand.contracts.errors import Problem, ProviderError, Violation
from bananastand.contracts.parameters import parse_query
from bananastand.contracts.schemas import Schemas

from ..kernel.call import ApiCall
from .schema_shapes import Shapes
from .upgrade import resolve

__all__ = ["check_type", "credential_of", "read_form", "regroup_query"]

FORM = "application/x-www-form-urlencoded"
BRACKETS = re.compile(r"\[([^\[\]]*)\]")
NESTED = re.compile(rf"([^\[\]]+)((?:{BRACKETS.pattern}){{1,20}})")
DELIMITERS = {"pipeDelimited": "|", "spaceDelimited": " "}


def credential_of(call: ApiCall, document: Mapping[str, Any]) -> str | None:
    """Return the credential of a call, which may be any; None where the operation needs none.

    Raises:
        ProviderError: unauthorized, where it is missing.
    """
    alternatives = call.operation.spec.get("security", document.get("security", []))
    schemes = document.get("components", {}).get("securitySchemes", {})
    missing: list[str] = []
    for alternative in alternatives:
        found = [_credential(call, resolve(document, schemes.get(name, {}))) for name in alternative]
        if found and all(found):
            return str(found[0])
        missing.append(" and ".join(_described(resolve(document, schemes.get(name, {})), name) for name in alternative))
    if not alternatives or {} in alternatives:
        return None
    raise ProviderError("unauthorized", f"the credential is missing: send {' or '.join(missing)}")


def check_type(call: ApiCall) -> None:
    """Refuse a body of a type that the operation does not take, and one that is missing.

    Raises:
        ProviderError: unsupported_type, violation.
    """
    types = call.operation.body_types
    sent = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if call.raw and types and sent and not any(_covers(kind, sent) for kind in types):
        raise ProviderError("unsupported_type", f"{sent} is not taken: send {' or '.join(types)}")
    if call.operation.body_required and not call.raw and not sent and not call.operation.takes_json:
        raise _violations([Violation("body", "", "required", "a body is required")])


def read_form(call: ApiCall, document: Mapping[str, Any], shapes: Shapes) -> None:
    """Make the body of a form the call's body, with the types that its schema has. Raises ProviderError violation."""
    if not call.headers.get("content-type", "").lower().startswith(FORM) or FORM not in call.operation.body_types:
        return
    body = resolve(document, call.operation.spec["requestBody"])
    schema = body["content"][FORM].get("schema", {})
    call.body = _typed(shapes, schema, _nest(parse_query(call.raw.decode("utf-8", "replace")), "body"))
    compiled = Schemas(document).object_of({"form": schema}, ["form"], f"the form of {call.operation.id}")
    if not compiled.fits({"form": call.body}):
        found = compiled.violations("body", {"form": call.body})
        raise _violations(
            [Violation(v.where, v.field.removeprefix("form").lstrip("."), v.rule, v.message) for v in found]
        )


def regroup_query(call: ApiCall, document: Mapping[str, Any], shapes: Shapes) -> None:
    """Make `filter[name]=x` an object, and lists with | or spaces lists, where the document has such parameters."""
    item = document["paths"].get(call.operation.template, {})
    for parameter in (*item.get("parameters", ()), *call.operation.spec.get("parameters", ())):
        parameter = resolve(document, parameter)
        name, style = parameter["name"], parameter.get("style")
        if style == "deepObject":
            group = {key: call.query.pop(key) for key in list(call.query) if key.startswith(f"{name}[")}
            if group:
                call.query |= _typed(shapes, {"properties": {name: parameter.get("schema", {})}}, _nest(group, "query"))
        elif style in DELIMITERS and isinstance(call.query.get(name), str):
            call.query[name] = call.query[name].split(DELIMITERS[style])


def _credential(call: ApiCall, scheme: Mapping[str, Any]) -> str | None:
    match scheme.get("type"), scheme.get("in"):
        case "apiKey", "query":
            value = call.query.get(scheme["name"])
            return value if isinstance(value, str) else None
        case "apiKey", "cookie":
            pairs = (pair.strip().partition("=") for pair in call.headers.get("cookie", "").split(";"))
            return next((value for name, _, value in pairs if name == scheme["name"]), None)
        case "apiKey", _:
            return call.headers.get(str(scheme["name"]).lower())
        case "http", _ if str(scheme.get("scheme", "")).lower() == "basic":
            pair = basic_credentials(call.headers.get("authorization", ""))
            return ":".join(pair) if pair is not None else None
        case "http", _ if (kind := str(scheme.get("scheme", "bearer")).lower()) != "bearer":
            name, _, value = call.headers.get("authorization", "").partition(" ")
            return value.strip() if name.lower() == kind else None
        case "mutualTLS", _:
            return "certificate"
        case _:
            return bearer_token(call.headers.get("authorization", "")) or None


def _described(scheme: Mapping[str, Any], name: str) -> str:
    match scheme.get("type"):
        case "apiKey":
            return f"{scheme.get('in')} {scheme.get('name')}"
        case "http":
            return f"Authorization: {str(scheme.get('scheme', name)).capitalize()}"
        case _:
            return "Authorization: Bearer"


def _covers(kind: str, sent: str) -> bool:
    name = kind.partition(";")[0].strip().lower()
    return name in ("*/*", sent) or (name.endswith("/*") and sent.startswith(name[:-1]))


def _nest(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Fields such as `a[b][c]`, `a[]` and `a[0]` as objects in each other, with the texts in the brackets as keys."""
    nested: dict[str, Any] = {}
    for name, value in fields.items():
        match = NESTED.fullmatch(name)
        keys = [match[1], *BRACKETS.findall(match[2])] if match else [name]
        place = nested
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise _violations([Violation(where, name, "type", f"{key} is a text and an object")])
        place[keys[-1]] = value
    return nested


def _typed(shapes: Shapes, schema: Any, value: Any) -> Any:
    """A text, or the texts in an object or a list, as the types of a schema, where they are written as such."""
    variants = shapes.variants(schema)
    items = next((flat["items"] for flat in variants if flat.get("type") == "array" and "items" in flat), None)
    if isinstance(value, dict) and items is None:
        fields: dict[str, Any] = {}
        for flat in reversed(variants):
            fields |= flat.get("properties", {})
        others = next((flat["additionalProperties"] for flat in variants if "additionalProperties" in flat), {})
        return {name: _typed(shapes, fields.get(name, others), inner) for name, inner in value.items()}
    if isinstance(value, dict | list) or items is not None:
        listed: list[Any] = _items(value) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        return [_typed(shapes, items or {}, item) for item in listed]
    for flat in variants:
        match flat.get("type"):
            case "integer" if re.fullmatch(r"-?\d{1,100}", value):
                return int(value)
            case "number" if re.fullmatch(r"-?\d{1,100}(\.\d+)?", value):
                return float(value)
            case "boolean" if value in ("true", "false"):
                return value == "true"
            case _:
                pass
    return value


def _items(group: Mapping[str, Any]) -> list[Any]:
    """The items of a list that was sent as `a[]` or `a[0]`."""
    return [item for value in group.values() for item in (value if isinstance(value, list) else [value])]


def _violations(found: list[Violation]) -> ProviderError:
    error = ProviderError("violation", found[0].message)
    error.problem = Problem("violation", found[0].message, tuple(found))
    return error
