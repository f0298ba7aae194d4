"""One operation of a contract, with its checks of parameters, bodies and responses compiled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from .errors import ContractError, Violation
from .parameters import Parameters
from .response import ApiResponse
from .schemas import Schema, Schemas

__all__ = ["ANY_TYPE", "PLACE", "ExpectedResponse", "Operation"]

ANY_TYPE = "*/*"  # of a body whose type the contract leaves open
PLACE = re.compile(r"\{([^{}]+)\}")  # a path parameter in a template


class Operation:
    """One operation at one address.

    `id` is the operationId, for an alias that of its original. `status` is the first success the contract names.
    What it says of answers is compiled when the first is checked: half of a start would go into that.
    """

    def __init__(self, template: str, method: str, spec: Any, shared: list[Any], schemas: Schemas) -> None:
        self.template, self.method, self.spec = template, method.upper(), spec
        self.alias = "x-alias-of" in spec
        self.id: str = spec.get("operationId") or spec.get("x-alias-of") or ""
        if not self.id:
            raise ContractError(f"{self.method} {template} has neither operationId nor x-alias-of")
        declared = _declared(shared, spec.get("parameters", []), schemas)
        self.path = Parameters(
            "path", [parameter for parameter in declared if parameter["in"] == "path"], schemas, self.id
        )
        self.query = Parameters(
            "query", [parameter for parameter in declared if parameter["in"] == "query"], schemas, self.id
        )
        self.headers = Parameters(
            "header", [parameter for parameter in declared if parameter["in"] == "header"], schemas, self.id
        )
        self.places: tuple[str, ...] = tuple(PLACE.findall(template))
        self.catch_all = frozenset(parameter["name"] for parameter in declared if parameter.get("x-catch-all"))
        self.pattern = _pattern(template, self.catch_all)
        self.body_required, self.body_types, self.bodies = _body(self, schemas)
        self.body = next(iter(self.bodies.values()), None)
        self.takes_body = bool(self.body_types)
        self.takes_json = any(_is_json(media_type) for media_type in self.body_types)
        self.parameters = frozenset(_parameter_names(self, declared, schemas))
        self.statuses = tuple(map(str, spec["responses"]))
        successes = (status.upper().replace("X", "0") for status in self.statuses if status.startswith(("2", "3")))
        self.status = next(map(int, successes), 200)
        self._schemas = schemas

    @cached_property
    def responses(self) -> dict[str, ExpectedResponse]:
        """By status."""
        return dict(_responses(self, self._schemas))

    def check_body(self, body: Any, violations: list[Violation], content_type: str = "") -> None:
        """Add what is wrong with a JSON body; of several JSON types each has its own schema."""
        schema = self.bodies.get(content_type, self.body)
        if schema is not None and not schema.fits(body):
            violations.extend(schema.violations("body", body))

    def names(self, status: int) -> bool:
        """Whether the contract says anything about this status."""
        return any(key in self.statuses for key in _keys(status))

    def expected(self, status: int) -> ExpectedResponse | None:
        """What the contract says of an answer with this status; None if it says nothing."""
        return next((self.responses[key] for key in _keys(status) if key in self.responses), None)

    def check_response(self, answer: ApiResponse) -> str | None:
        """What of the answer is against the contract, in words; None if nothing is."""
        expected = self.expected(answer.status)
        if expected is None:
            return f"status {answer.status} is not in the contract"
        for name in expected.headers:
            if name not in answer.headers:
                return f"header {name} is missing"
        if answer.body is None and not expected.content:
            return None
        kind = answer.content_type.partition(";")[0]
        if kind not in expected.content and ANY_TYPE not in expected.content:
            return f"{answer.status} has {kind}, the contract knows {sorted(expected.content) or 'no body'}"
        schema = expected.content.get(kind)
        if schema is None or isinstance(answer.body, bytes) or schema.fits(answer.body):
            return None
        return "; ".join(
            f"{violation.field or 'body'}: {violation.message}" for violation in schema.violations("body", answer.body)
        )


class ExpectedResponse:
    """What an answer of one status must have: a body of one of the content types, and headers."""

    __slots__ = ("content", "headers")

    def __init__(self, content: dict[str, Schema | None], headers: list[str]) -> None:
        self.content, self.headers = content, headers


def _keys(status: int) -> tuple[str, str, str]:
    """Under which keys a contract may have a status: itself, its range, or all others."""
    return str(status), f"{status // 100}XX", "default"


def _declared(shared: list[Any], own: list[Any], schemas: Schemas) -> list[Any]:
    resolved = [schemas.resolve(parameter) for parameter in [*shared, *own]]
    return list({(parameter["in"], parameter["name"]): parameter for parameter in resolved}.values())


def _body(operation: Operation, schemas: Schemas) -> tuple[bool, tuple[str, ...], dict[str, Schema]]:
    """Whether a body is required, its types, and the schemas of those that are JSON."""
    if "requestBody" not in operation.spec:
        return False, (), {}
    keys, body = _at(("paths", operation.template, operation.method.lower(), "requestBody"), operation, schemas)
    content = body.get("content", {})
    types = [media_type for media_type in content if _is_json(media_type) and "schema" in content[media_type]]
    found = {media_type: schemas.at(*keys, "content", media_type, "schema") for media_type in types}
    return bool(body.get("required")), tuple(content), found


def _parameter_names(operation: Operation, declared: list[Any], schemas: Schemas) -> list[str]:
    """Every name a caller may set: path, query and header parameters (in lower case) and the top of a JSON body."""
    names = [parameter["name"].lower() if parameter["in"] == "header" else parameter["name"] for parameter in declared]
    if operation.body is not None:
        _, body = _at(("paths", operation.template, operation.method.lower(), "requestBody"), operation, schemas)
        for media in body["content"].values():
            names += schemas.resolve(media.get("schema", {})).get("properties", {})
    return names


def _responses(operation: Operation, schemas: Schemas) -> Iterator[tuple[str, ExpectedResponse]]:
    for status in operation.spec["responses"]:
        keys, response = _at(
            ("paths", operation.template, operation.method.lower(), "responses", status), operation, schemas
        )
        content = {
            kind: schemas.at(*keys, "content", kind, "schema") if _is_json(kind) and "schema" in media else None
            for kind, media in response.get("content", {}).items()
        }
        headers = response.get("headers", {})
        required = [name.lower() for name, header in headers.items() if schemas.resolve(header).get("required")]
        yield str(status), ExpectedResponse(content, required)


def _at(keys: tuple[str, ...], operation: Operation, schemas: Schemas) -> tuple[tuple[str, ...], Any]:
    """Where a request body or response really stands, its $ref followed, and what stands there."""
    value = operation.spec
    for key in keys[3:]:
        value = value[key]
    while "$ref" in value:
        keys = tuple(value["$ref"].removeprefix("#/").split("/"))
        value = schemas.named(value["$ref"])
    return keys, value


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")


def _pattern(template: str, catch_all: frozenset[str]) -> re.Pattern[str]:
    """A pattern with a group for each path parameter; a catch-all parameter may contain slashes."""
    pieces = PLACE.split(template)
    return re.compile(
        "".join(
            re.escape(piece) if number % 2 == 0 else ("(.+)" if piece in catch_all else "([^/]+)")
            for number, piece in enumerate(pieces)
        ),
        re.DOTALL,
    )
