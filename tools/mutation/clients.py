"""Mutants of the clients: a wrong key, and a response of which one field is read wrongly. The others are in `code`."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bananastand.clients.request import ClientRequest, PreparedRequest
from bananastand.clients.response import RawResponse
from bananastand.clients.session import ClientSession
from contracts import contract, named_operations

from .mutant import Mutant, reached, site, value_at
from .shapes import answer_schema, fields

__all__ = ["PROVIDERS", "mutants", "watch"]

PROVIDERS = ("bananadev", "falai", "banana-native", "fal-queue", "gobananas", "paperbanana")
NAMES = {"banana": "banana-native"}  # of a client's Provider, where it is not the contract's


def mutants() -> Iterator[Mutant]:
    """Returns the mutants of all clients, in the order of the contracts."""
    for provider in PROVIDERS:
        for name, (status, paths, keyed) in _operations(provider).items():
            if keyed:
                yield _key(provider, name)
            if status != "204":
                for path in paths:
                    yield _parse(provider, name, path)


@functools.lru_cache(maxsize=8)
def _operations(provider: str) -> dict[str, tuple[str, tuple[tuple[str, ...], ...], bool]]:
    """Returns the operations of a client, each with its status of success, the fields of that response and whether it
    needs a key."""
    from client_calls import CASES

    named = {case.operation for case in CASES if case.provider == provider}
    document, found = contract(provider), dict[str, Any]()
    for operation in named_operations(document):
        if (name := operation.spec["operationId"]) not in named:
            continue
        status = next(status for status in operation.spec["responses"] if status[0] in "23")
        schema = answer_schema(operation, status)
        paths = fields(document, schema) if schema is not None else []
        if provider in ("bananadev", "falai"):
            paths = [path for path in paths if path[0] == "result" and len(path) > 1]
        leaves = [path for path in paths if not any(other[: len(path)] == path for other in paths if other != path)]
        found[name] = (status, tuple(leaves), bool(operation.security))
    return found


def _key(provider: str, name: str) -> Mutant:
    def apply() -> None:
        prepare = ClientSession.prepare

        def mutated(self: ClientSession, call: ClientRequest[Any]) -> PreparedRequest:
            if _named(self, call) == (provider, name):
                wrong = replace(self, key=f"{self.key}x", admin_key=f"{self.admin_key}x")
                return prepare(wrong, call)
            return prepare(self, call)

        ClientSession.prepare = mutated  # type: ignore[method-assign]

    return Mutant(provider, "client", name, "key", "is another", frozenset([site("client", provider, name)]), apply)


def _parse(provider: str, name: str, path: tuple[str, ...]) -> Mutant:
    def alter(holder: Any, key: str) -> None:
        holder[key] = _misread(holder[key])

    def apply() -> None:
        read_response = ClientSession.read_response

        def mutated(self: ClientSession, call: ClientRequest[Any], sent: PreparedRequest, raw: RawResponse) -> Any:
            if 200 <= raw.status < 300 and _named(self, call) == (provider, name):
                try:
                    body = json.loads(raw.content)
                except ValueError:
                    body = None
                if value_at(body, path, alter):
                    raw = replace(raw, content=json.dumps(body).encode())
            return read_response(self, call, sent, raw)

        ClientSession.read_response = mutated  # type: ignore[method-assign]

    return Mutant(provider, "client", name, "parse", ".".join(path), frozenset([site("client", provider, name)]), apply)


def _misread(value: Any) -> Any:
    """Returns another value of the same type, as if a neighbouring field had been read."""
    match value:
        case bool():
            return not value
        case str():
            return f"{value}x"
        case int() | float():
            return value + 1
        case list():
            return value[1:] if value else [{}]
        case dict():
            return {}
        case _:
            return "x"


def watch() -> None:
    """Records which operations are called."""
    prepare = ClientSession.prepare

    @functools.wraps(prepare)
    def watched(self: ClientSession, call: ClientRequest[Any]) -> PreparedRequest:
        if (named := _named(self, call)) is not None:
            reached.add(site("client", *named))
        return prepare(self, call)

    ClientSession.prepare = watched  # type: ignore[method-assign]


def _named(session: ClientSession, call: ClientRequest[Any]) -> tuple[str, str] | None:
    provider = NAMES.get(session.provider.name, session.provider.name)
    return _found(provider, call.method, call.path) if provider in PROVIDERS else None


@functools.lru_cache(maxsize=4096)
def _found(provider: str, method: str, path: str) -> tuple[str, str] | None:
    """Returns the operation at an address; of several, the one with the fewest parameters in its path."""
    for pattern in sorted(_patterns(provider), key=lambda row: (row[0], -len(row[2].pattern))):
        if pattern[1] == method.lower() and pattern[2].fullmatch(path):
            return provider, pattern[3]
    return None


@functools.lru_cache(maxsize=8)
def _patterns(provider: str) -> list[tuple[int, str, re.Pattern[str], str]]:
    return [
        (
            operation.path.count("{"),
            operation.method,
            re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(operation.path))),
            operation.spec["operationId"],
        )
        for operation in named_operations(contract(provider))
    ]
