"""Mutants of a mock's responses: a field dropped, renamed or retyped, another status, code, text or header.

A mutant takes effect after the mock has checked the response against its own contract, so that only a test detects it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from bananastand.contracts.response import ApiResponse
from bananastand_mocks.kernel.call import ApiCall
from bananastand_mocks.kernel.http_handler import HttpHandler
from contracts import FILES, Operation, contract, named_operations, resolve

from .mutant import Mutant, reached, site, value_at
from .shapes import answer_schema, fields

__all__ = ["mutants", "watch"]

KINDS = ("dropped", "renamed", "retyped")
WORDS = ("code", "type", "message", "detail", "error", "text")  # fields of an error that callers read
OTHER = {
    "200": 203,
    "201": 200,
    "202": 200,
    "204": 200,
    "302": 307,
    "400": 422,
    "401": 403,
    "402": 403,
    "403": 401,
    "404": 410,
    "413": 400,
    "415": 400,
    "418": 400,
    "422": 400,
    "423": 409,
    "429": 503,
    "499": 400,
    "500": 502,
    "503": 500,
    "504": 503,
}
Change = Callable[[ApiResponse], None]


def mutants() -> Iterator[Mutant]:
    """Returns the mutants of all mocks, in the order of the contracts."""
    for provider in FILES:
        document = contract(provider)
        for found in named_operations(document):
            yield from _of(provider, found)


def _of(provider: str, found: Operation) -> Iterator[Mutant]:
    for number, status in enumerate(response for response in found.spec["responses"] if response.isdigit()):

        def mutant_of(kind: str, what: str, change: Change, status: str = status) -> Mutant:
            return _mutant(provider, found.spec["operationId"], status, kind, what, change)

        yield mutant_of("status", f"{status} is {OTHER[status]}", _status(OTHER[status]))
        schema = answer_schema(found, status)
        success = status[0] == "2"
        if schema is not None:
            paths = fields(found.document, schema)
            for i, path in enumerate(paths if success else ()):
                kind = KINDS[(i + number) % 3]
                yield mutant_of(f"field {kind}", f"{status} {'.'.join(path)}", _field(path, kind))
            if not success:
                texts = [file for file in paths if file[-1] in WORDS and not _holds_others(file, paths)]
                for path in texts[:1]:
                    yield mutant_of("error text", f"{status} {'.'.join(path)}", _field(path, "reworded"))
        if success or status == "429":
            for name in resolve(found.document, found.spec["responses"][status]).get("headers", {}):
                yield mutant_of("header dropped", f"{status} {name}", _header(name.lower(), None))
                yield mutant_of("header changed", f"{status} {name}", _header(name.lower(), "12345678"))
        if success and status != "204":
            yield mutant_of("content type", status, _content_type)


def _holds_others(path: tuple[str, ...], paths: list[tuple[str, ...]]) -> bool:
    return any(file[: len(path)] == path and file != path for file in paths)


def _mutant(provider: str, operation: str, status: str, kind: str, what: str, change: Change) -> Mutant:
    def apply() -> None:
        check = HttpHandler.check_response

        def mutated(self: HttpHandler, call: ApiCall, answer: ApiResponse, *, provoked: bool) -> None:
            check(self, call, answer, provoked=provoked)
            if (self.provider.name, call.operation.id, str(answer.status)) == (provider, operation, status):
                change(answer)

        HttpHandler.check_response = mutated  # type: ignore[method-assign]

    return Mutant(
        provider, "mock", operation, kind, what, frozenset([site("mock", provider, operation, status)]), apply
    )


def _status(status: int) -> Change:
    def change(answer: ApiResponse) -> None:
        answer.status = status

    return change


def _field(path: tuple[str, ...], kind: str) -> Change:
    def alter(holder: Any, key: str) -> None:
        value = holder.pop(key)
        if kind == "renamed":
            holder[f"{key}_"] = value
        elif kind == "retyped":
            holder[key] = _retyped(value)
        elif kind == "reworded":
            holder[key] = f"{value} indeed" if isinstance(value, str) else value

    def change(answer: ApiResponse) -> None:
        answer.body = copy.deepcopy(answer.body)
        value_at(answer.body, path, alter)

    return change


def _retyped(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | list | dict):
        return str(value)
    return {str: 1, list: {}, dict: []}[type(value)]


def _header(name: str, value: str | None) -> Change:
    def change(answer: ApiResponse) -> None:
        headers = {item: value_kept for item, value_kept in answer.headers.items() if item != name}
        answer.headers = headers if value is None or name not in answer.headers else {**headers, name: value}

    return change


def _content_type(answer: ApiResponse) -> None:
    answer.content_type = "text/plain" if answer.content_type != "text/plain" else "text/html"
    if not isinstance(answer.body, bytes) and answer.body is not None:
        from bananastand.contracts.json_body import dump

        answer.body = dump(answer.body)


def watch() -> None:
    """Records which operations respond, and with which status."""
    check = HttpHandler.check_response

    def watched(self: HttpHandler, call: ApiCall, answer: ApiResponse, *, provoked: bool) -> None:
        reached.add(site("mock", self.provider.name, call.operation.id))
        reached.add(site("mock", self.provider.name, call.operation.id, answer.status))
        check(self, call, answer, provoked=provoked)

    HttpHandler.check_response = watched  # type: ignore[method-assign]
