"""Reads an OpenAPI document, and says where it is wrong."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from bananastand.contracts.contract import METHODS, Contract
from bananastand.contracts.errors import ContractError
from bananastand.contracts.operation import PLACE

from ..plain_yaml import PlainLoader
from .bundle import FILES, bundle, find, references
from .upgrade import lookup, upgrade

__all__ = ["DocumentError", "compile_contract", "read_document"]

VERSION = re.compile(r"3\.[01](\.\d+)?")
DEEPEST, MOST = 150, 5_000_000  # levels and values of a document
STATUS = "^([1-5][0-9][0-9]|[1-5]XX|default)$"
_OBJECT: dict[str, Any] = {"type": "object"}
_CONTENT: dict[str, Any] = {"type": "object", "additionalProperties": _OBJECT}
_PARAMETER: dict[str, Any] = {
    "type": "object",
    "if": {"not": {"required": ["$ref"]}},
    "then": {
        "required": ["name", "in"],
        "properties": {"name": {"type": "string"}, "in": {"enum": ["path", "query", "header", "cookie"]}},
    },
}
_RESPONSES: dict[str, Any] = {
    "type": "object",
    "patternProperties": {
        "^x-": {},
        STATUS: {"type": "object", "properties": {"content": _CONTENT, "headers": _OBJECT}},
    },
    "additionalProperties": False,
}
_OPERATION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "operationId": {"type": "string", "minLength": 1},
        "parameters": {"type": "array", "items": _PARAMETER},
        "requestBody": {"type": "object", "properties": {"content": _CONTENT}},
        "responses": _RESPONSES,
        "security": {"type": "array", "items": _OBJECT},
    },
}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["openapi", "info", "paths"],
    "properties": {
        "info": {"type": "object", "required": ["title", "version"]},
        "servers": {"type": "array", "items": {"type": "object", "required": ["url"]}},
        "paths": {
            "type": "object",
            "patternProperties": {
                "^/": {
                    "type": "object",
                    "properties": {
                        "parameters": {"type": "array", "items": _PARAMETER},
                        **dict.fromkeys(METHODS, _OPERATION),
                    },
                },
                "^x-": {},
            },
            "additionalProperties": False,
        },
        "components": _OBJECT,
    },
}


class DocumentError(ValueError):
    """The document cannot be served; the text names file and line, and the reason."""


def read_document(path: Path) -> dict[str, Any]:
    """Read a document of OpenAPI 3.0 or 3.1, in YAML or JSON, with the files that it refers to below `x-files`.

    Raises:
        DocumentError: It cannot be read, is of another version, or is wrong.
    """
    text, document = _read(path)
    _check_version(path, document)
    bundle(path, document, lambda file: _read(file)[1], _problem_in)
    if not _is_old(document) and document.keys() & {"webhooks", "components"}:
        document.setdefault("paths", {})
    error = next(jsonschema_rs.Draft202012Validator(_SCHEMA).iter_errors(document), None)
    if error is not None:
        raise DocumentError(_located(path, text, error.instance_path, error.message[:300]))
    for place, problem in _problems(document):
        raise DocumentError(_located(path, text, place, problem))
    return document


def _read(path: Path) -> tuple[str, Any]:
    """Return the text of a file, and its value. Raises DocumentError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DocumentError(f"{path} is not written in UTF-8") from None
    try:
        return text, _parse(path, text)
    except RecursionError:
        raise DocumentError(f"{path} is nested too deep: at most {DEEPEST} levels are served") from None


def _problem_in(path: Path, place: Sequence[str | int], problem: str) -> DocumentError:
    return DocumentError(_located(path, path.read_text(encoding="utf-8-sig"), place, problem))


def compile_contract(path: Path, document: dict[str, Any]) -> Contract:
    """Return the contract of a document, with the schemas of all requests and responses compiled.

    Raises:
        DocumentError: A schema is wrong.
    """
    upgraded = upgrade(document)
    try:
        contract = Contract(upgraded)
        for operation in contract.operations:
            _ = operation.responses
    except RecursionError:
        raise DocumentError(f"{path}: a schema has itself as an alternative or part: leave it out there") from None
    except ContractError as error:
        text, where = path.read_text(encoding="utf-8"), _place_of(upgraded)
        raise DocumentError(_located(path, text, where, str(error)[:300])) from None
    return contract


def _parse(path: Path, text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            loaded = json.loads(text)
            _check_extent(path, loaded)
            return loaded
        except DocumentError:
            raise
        except ValueError as json_error:
            if path.suffix == ".json":
                raise DocumentError(f"{path} is no JSON: {json_error}") from None
    try:
        loaded = yaml.load(text, PlainLoader)
        _check_extent(path, loaded)
        return _with_text_keys(loaded)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        raise DocumentError(f"{path}{place}: no YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise DocumentError(f"{path}: no YAML: {error}") from None


def _check_extent(path: Path, document: Any) -> None:
    """Refuse what would have no end with its YAML aliases written out, and numbers that JSON does not have."""
    extents: dict[int, tuple[int, int]] = {}  # levels and values, of lists and objects by identity

    def measure(value: Any, level: int) -> tuple[int, int]:
        if isinstance(value, float) and not math.isfinite(value):
            raise DocumentError(f"{path}: {value} is no number of JSON: write another value")
        if not isinstance(value, dict | list):
            return 0, 1
        if id(value) not in extents:
            items = value.values() if isinstance(value, dict) else value
            parts = [measure(item, level + 1) for item in items] if level < DEEPEST else [(DEEPEST, 0)]
            extents[id(value)] = (
                max((levels for levels, _ in parts), default=0) + 1,
                sum(count for _, count in parts) + 1,
            )
        return extents[id(value)]

    levels, count = measure(document, 0)
    if levels > DEEPEST:
        raise DocumentError(
            f"{path} is nested too deep, or an alias contains itself: at most {DEEPEST} levels are served"
        )
    if count > MOST:
        raise DocumentError(f"{path} has {count} values with its aliases written out: at most {MOST} are served")


def _check_version(path: Path, document: Any) -> None:
    if not isinstance(document, dict) or not {"openapi", "swagger"} & document.keys():
        raise DocumentError(f"{path}:1: no OpenAPI document: the key openapi is missing")
    version = str(document.get("openapi", document.get("swagger")))
    if not VERSION.fullmatch(version):
        raise DocumentError(f"{path}:1: OpenAPI {version[:20]} is not served, only 3.0 and 3.1: convert the document")


def _problems(document: dict[str, Any]) -> Iterator[tuple[list[str | int], str]]:
    """What a schema cannot say: references that lead nowhere, names that come twice."""
    for place, holder, key in references(document, []):
        reference = str(holder[key])
        if key != "$ref":
            continue  # a discriminator's, which may name anything
        if reference.startswith("#/") and find(document, reference[1:]) is None:
            yield place, f"$ref {reference} names nothing"
        elif _is_circle(document, reference):
            yield place, f"$ref {reference} leads back to itself: name an object"
    counts = Counter(operation.get("operationId") for _, operation in _operations(document))
    for place, operation in _operations(document):
        name = operation.get("operationId")
        if _is_old(document) and "responses" not in operation:
            yield place, '"responses" is a required property of OpenAPI 3.0'
        if name is not None and counts[name] > 1:
            yield [*place, "operationId"], f"the operationId {name} comes {counts[name]} times"
        names = PLACE.findall(str(place[1]))
        if len(set(names)) < len(names):
            yield place, f"a parameter comes twice in {place[1]}"


def _is_old(document: dict[str, Any]) -> bool:
    return str(document["openapi"]).startswith("3.0")


def _operations(document: dict[str, Any]) -> Iterator[tuple[list[str | int], dict[str, Any]]]:
    for template, item in document["paths"].items():
        for method in METHODS:
            if template.startswith("/") and method in item:
                yield ["paths", template, method], item[method]


def _is_circle(document: Any, reference: str) -> bool:
    seen: set[str] = set()
    while reference.startswith("#/") and reference not in seen:
        seen.add(reference)
        found = lookup(document, reference)
        reference = str(found.get("$ref", "")) if isinstance(found, dict) else ""
    return reference in seen


def _place_of(document: dict[str, Any]) -> list[str | int]:
    """The first operation whose schemas cannot be compiled, or the first schema of the components."""
    for name in document.get("components", {}).get("schemas", {}):
        alone = {**document, "paths": {"/": {"get": {"operationId": "x", "responses": {"200": {"content": {
            "application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}}}}}}  # fmt: skip
        if not _compiles(alone):
            return ["components", "schemas", name]
    for place, operation in _operations(document):
        if not _compiles({**document, "paths": {place[1]: {place[2]: operation}}}):
            return place
    return []


def _compiles(document: dict[str, Any]) -> bool:
    try:
        for operation in Contract(document).operations:
            _ = operation.responses
    except ContractError:
        return False
    return True


def _located(path: Path, text: str, place: Sequence[str | int], problem: str) -> str:
    """The problem with the line of its place, and the place as keys."""
    if place[:1] == [FILES] and len(place) > 1:
        return _located(path.parent / str(place[1]), "", place[2:], problem)
    line = _line_of(text, place)
    return f"{path}{f':{line}' if line else ''}: {' > '.join(map(str, place)) or 'the document'}: {problem}"


def _line_of(text: str, place: Sequence[str | int]) -> int:
    try:
        node: Any = yaml.compose(text, PlainLoader)
    except yaml.YAMLError:
        return 0  # JSON with tabs, which YAML does not allow
    line = node.start_mark.line
    for key in place:
        if isinstance(node, yaml.MappingNode):
            pairs = [(name, item) for name, item in node.value if name.value == str(key)]
            if not pairs:
                break
            line, node = pairs[0][0].start_mark.line, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line
    return line + 1


def _with_text_keys(value: Any) -> Any:
    """The value with statuses and the like as texts, as in JSON."""
    if isinstance(value, dict):
        return {_key(key): _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, list) else value


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) or key is None else str(key)
