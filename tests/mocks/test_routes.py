"""The routes of each provider's application: those of its contract, each naming the function that answers it."""

from __future__ import annotations

import asyncio
import importlib

import pytest
from starlette.applications import Starlette

from bananastand_mocks.kernel.operation_route import OperationRoute
from bananastand_mocks.providers import NAMES
from bananastand_mocks.server import create_app
from tinymock import app, ask

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@pytest.mark.parametrize("name", NAMES)
def test_the_routes_are_the_operations_of_the_contract(name: str) -> None:
    application = create_app(name)
    documented = {
        (method.upper(), path, operation.get("operationId") or operation["x-alias-of"])
        for path, item in application.openapi()["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }
    routes = [route for route in application.routes if isinstance(route, OperationRoute)]

    assert {(method, route.path_format, route.name) for route in routes for method in route.methods or () if
            method != "HEAD"} == documented  # fmt: skip
    assert {route.path for route in application.routes} >= {"/openapi.json", "/docs"}


@pytest.mark.parametrize("name", NAMES)
def test_a_route_names_the_function_that_answers_it(name: str) -> None:
    routes = [route for route in create_app(name).routes if isinstance(route, OperationRoute)]

    assert len(routes) > 4
    for route in routes:
        function = route.endpoint
        owner = importlib.import_module(function.__module__)
        for part in function.__qualname__.split("."):
            owner = getattr(owner, part)
        assert owner is getattr(function, "__func__", function)
        assert function.__module__.startswith("bananastand_mocks.")


def test_a_route_has_summary_and_tags_of_its_operation() -> None:
    route = next(route for route in create_app("banana-native").routes if route.name == "create_project")

    assert (route.operation_id, route.summary, route.tags) == ("create_project", "Create a project", ["Deployment"])


def test_docs_list_every_operation_with_its_function() -> None:
    page = asyncio.run(ask(create_app("banana-native"), "GET", "/docs", key=None))

    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for text in ("GET /v1/projects/{id}", "bananastand_mocks.bananadev.projects.get_project", 'href="/openapi.json"'):
        assert text in page.content.decode()


def test_a_route_serves_its_operation_under_another_router_too() -> None:
    zoo = app()
    alone = Starlette(routes=[route for route in zoo.routes if route.name == "get_animal"])

    assert asyncio.run(ask(alone, "GET", "/animals/cow")).json()["name"] == "Berta"
    assert asyncio.run(ask(alone, "GET", "/animals/of/the/farm")).json() == {"oops": "not_found"}
    assert alone.url_path_for("get_animal", id="cow") == "/animals/cow"
