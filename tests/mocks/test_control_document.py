"""The control plane's OpenAPI document: valid, complete, true to its routes and answers, and a page that works offline.

All checks of Schemathesis are on. These rules span what OpenAPI can say, so that a request which fits the document may
be refused: a world's settings, an operation's name, a JSON path, a regular expression, an exported world, a journal's
field, a header's value, and the last call of a fault, which is not before its first.
"""

from __future__ import annotations

import asyncio
import re
from copy import deepcopy
from typing import Any

import pytest
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate
from schemathesis.specs.openapi.checks import positive_data_acceptance

from bananastand_mocks.server import Server
from tinymock import Response, ask

LOCAL = {"host": "127.0.0.1:8750"}
SPANNING = ("/settings", "/faults", "/stubs", "/import", "/verify")

SERVER = Server(virtual=True, seed=1, hosts=["testserver"])  # as Schemathesis calls it


def get(path: str) -> Response:
    return asyncio.run(ask(SERVER, "GET", path, key=None, headers=LOCAL))


DOCUMENT: Any = get("/_stand/openapi.json").json()
OPERATIONS = [
    (method, path, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]
schema = schemathesis.openapi.from_dict(deepcopy(DOCUMENT))
schema.app = SERVER


def routes() -> set[tuple[str, str]]:
    """Every route that the application has, its pages left out."""
    return {
        (method, route.path)
        for route in SERVER._control.routes
        if isinstance(route, APIRoute) and not route.path.startswith("/_stand/pages")
        for method in route.methods
    }


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_every_route_is_in_the_document() -> None:
    pages = {("GET", "/"), ("GET", "/_stand"), ("GET", "/_stand/")}

    assert {(method.upper(), path) for method, path, _ in OPERATIONS} == routes() - pages


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=[f"{row[0]} {row[1]}" for row in OPERATIONS])
def test_every_route_is_typed_and_described(method: str, path: str, operation: Any) -> None:
    success = next(response for status, response in operation["responses"].items() if status.startswith("2"))
    bodies = [*operation.get("requestBody", {}).get("content", {}).values(), *success.get("content", {}).values()]

    assert operation["description"].endswith(".")
    assert bool(success.get("content")) is (method != "delete")
    for body in bodies:
        assert body["schema"] not in ({}, {"type": "object"}), "say what is in it"
    for status in ("403", "404", "422"):
        refusal = {"schema": {"$ref": "#/components/schemas/Refusal"}}
        assert operation["responses"][status]["content"] == {"application/json": refusal}


@schema.parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_answers_fit_the_document(case: Any) -> None:
    for world in list(SERVER.worlds):
        if world is not SERVER.worlds.default:
            SERVER.worlds.remove(world)
    SERVER.worlds.reset(SERVER.worlds.default)
    known = {"name": "default", "provider": "bananadev", "stub": 1}
    case.path_parameters = {name: known[name] for name in case.path_parameters or {}}

    spans = case.operation.path.endswith(SPANNING)
    case.call_and_validate(excluded_checks=[positive_data_acceptance] if spans else [])


def test_the_page_shows_every_route_and_schema_and_loads_nothing() -> None:
    page = get("/_stand/").content.decode()

    assert [path for method, path, _ in OPERATIONS if f"<code>{method.upper()} {path}</code>" not in page] == []
    assert [name for name in DOCUMENT["components"]["schemas"] if f'<h3 id="{name}">' not in page] == []
    assert set(re.findall(r'(?:src|href)="([^"#]*)"', page)) == {
        "/", "/_stand/", "/_stand/openapi.json", "/_stand/pages/style.css"
    }  # fmt: skip
