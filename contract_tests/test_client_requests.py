"""Leg 3, what the clients send: every method's request is caught on a real socket and held to the contract."""

from __future__ import annotations

import asyncio
import inspect
import json
from contextlib import suppress
from typing import Any

import pytest
from client_calls import CASES, CLIENTS, Case
from contracts import contract, operation, operations, request_errors
from pytest_httpserver import HTTPServer

from bananastand.clients.errors import APIStatusError

KEY = "at_r0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_has_the_operations_of_its_contract(name: str) -> None:
    wanted = {each.spec["operationId"] for each in operations(contract(name)) if "operationId" in each.spec}

    assert wanted == {case.operation for case in CASES if case.provider == name}
    assert all(hasattr(client, method) for client in CLIENTS[name] for method in wanted)


@pytest.mark.parametrize("name", CLIENTS)
def test_both_clients_have_the_same_methods(name: str) -> None:
    blocking, asynchronous = (
        {method: inspect.signature(each.__wrapped__) for method, each in vars(client).items() if method[0] != "_"
         and method != "provider"}
        for client in CLIENTS[name]
    )  # fmt: skip

    assert blocking == asynchronous
    assert blocking


@pytest.mark.parametrize("twin", [0, 1], ids=["sync", "async"])
@pytest.mark.parametrize("full", [False, True], ids=["minimal", "full"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_request_fits_the_contract(case: Case, full: bool, twin: int, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/", method="GET").respond_with_data("", status=302, headers={"Location": "there"})
    httpserver.no_handler_status_code = 404
    client = CLIENTS[case.provider][twin](KEY, base_url=httpserver.url_for("").rstrip("/"), max_retries=0)
    words = case.optional if full else {}

    with suppress(APIStatusError):
        answer = getattr(client, case.operation)(*case.required, **words)
        if twin:
            asyncio.run(_awaited(client, answer))
    ((request, _),) = httpserver.log

    found = operation(contract(case.provider), case.operation)
    query = dict(request.args)
    assert query.pop("api_token") == KEY
    assert (request.method, request.path) == (found.method.upper(), found.path)
    body = json.loads(request.data) if request.data else None
    assert request_errors(found, query, body) == []
    assert set(query) <= {each["name"] for each in found.parameters}
    if full:
        assert set(query) >= {each["name"] for each in found.parameters if each["in"] == "query"} - {"cursor"}
        assert set(body or {}) == set((found.body or {}).get("properties", {}))


async def _awaited(client: Any, answer: Any) -> None:
    async with client:
        await answer
