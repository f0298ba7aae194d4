"""Every request of the clients, caught on a real socket, fits the contract."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request

from bananastand.clients.errors import APIStatusError
from bananastand.clients.gobananas import GoBananas
from client_calls import CASES, CLIENTS, NOT_FOR_CLIENTS, Case
from contracts import Operation, contract, operation, operations, request_errors

APART = {"gobananas": {"upload_image"}}  # below
KEY = "at_r0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_has_the_operations_of_its_contract(name: str) -> None:
    documented = {op.spec["operationId"] for op in operations(contract(name)) if "operationId" in op.spec}

    documented -= NOT_FOR_CLIENTS.get(name, set())
    assert documented == {case.operation for case in CASES if case.provider == name} | APART.get(name, set())
    assert all(hasattr(client, method) for client in CLIENTS[name] for method in documented)


@pytest.mark.parametrize("name", CLIENTS)
def test_both_clients_have_the_same_methods(name: str) -> None:
    blocking, asynchronous = (_methods(client) for client in CLIENTS[name])

    assert blocking == asynchronous
    assert blocking


def _methods(client: Any) -> dict[str, list[Any]]:
    """Names and parameters; what they return differs by kind."""
    return {
        name: list(inspect.signature(getattr(value, "__wrapped__", value)).parameters.values())
        for name, value in vars(client).items()
        if not name.startswith("_") and name != "provider"
    }


@pytest.mark.parametrize("twin", [0, 1], ids=["sync", "async"])
@pytest.mark.parametrize("full", [False, True], ids=["minimal", "full"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_request_fits_the_contract(case: Case, full: bool, twin: int, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/", method="GET").respond_with_data("", status=302, headers={"Location": "there"})
    httpserver.no_handler_status_code = 404
    base = httpserver.url_for("").rstrip("/")
    client = CLIENTS[case.provider][twin](KEY, admin_key=KEY, base_url=base, max_retries=0)
    required = [base + item if case.operation == "put_upload" and item == "/upload/key" else item
                for item in case.required]  # fmt: skip

    with suppress(APIStatusError):
        answer = getattr(client, case.operation)(*required, **(case.optional if full else {}))
        if twin:
            asyncio.run(_awaited(client, answer))
    ((request, _),) = httpserver.log

    found = operation(contract(case.provider), case.operation)
    sent = request.data and json.loads(request.data) if request.content_type == "application/json" else None
    query = dict(request.args)
    _holds_the_key(found, request, query, sent)
    assert request.method == found.method.upper()
    if case.operation != "put_upload":  # its address is told by an answer
        named = iter(case.required)
        assert request.path == re.sub(r"{\w+}", lambda _: str(next(named)), found.path)
    assert request_errors(found, query, sent) == []
    assert set(query) <= {parameter["name"] for parameter in found.parameters}
    if full:
        named = {parameter["name"] for parameter in found.parameters if parameter["in"] in ("query", "header")}
        assert {*query, *(name for name, _ in request.headers)} >= named - {"cursor", "X-Banana-Model-Key"}
        assert set(sent or {}) >= set(_properties(found))
        sent_values = {*_leaves(sent), *_leaves(query), *(value for _, value in request.headers)}
        assert set(_leaves(case.optional)) <= sent_values


def _leaves(value: Any) -> Iterator[str]:
    """All that is no object and no list, as an address would have it."""
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    else:
        yield from (str(value).lower() if isinstance(value, bool) else str(value)).split(",")


@pytest.mark.parametrize(
    ("provider", "method", "words", "path"),
    [
        ("gobananas", "get_session", ("a/b?c d",), "/api/sessions/a%2Fb%3Fc%20d"),
        ("gobananas", "get_file", ("acme/2026/b?c d.png",), "/images/acme/2026/b%3Fc%20d.png"),
        ("banana-native", "get_project", ("a/b?c",), "/v1/projects/a%2Fb%3Fc"),
        ("banana-native", "update_project", ("a/b?c",), "/v1/projects/a%2Fb%3Fc"),
        ("banana-native", "create_upload", ("a/b?c",), "/v1/projects/a%2Fb%3Fc/upload"),
        ("banana-native", "build_project", ("a/b?c", "key"), "/v1/projects/a%2Fb%3Fc/build"),
        ("banana-native", "call_project", ("a/b?c", "/one/two?x"), "/run/a%2Fb%3Fc/one/two%3Fx"),
        ("banana-native", "warmup_project", ("a/b?c",), "/run/a%2Fb%3Fc/_k/warmup"),
        ("paperbanana", "get_task", ("a/b?c",), "/api/tasks/a%2Fb%3Fc"),
        ("paperbanana", "get_task_image", ("a/b?c",), "/api/tasks/a%2Fb%3Fc/image"),
        ("paperbanana", "get_key", ("pb_a/b?c",), "/api/admin/keys/pb_a%2Fb%3Fc"),
        ("paperbanana", "update_key", ("pb_a/b?c",), "/api/admin/keys/pb_a%2Fb%3Fc"),
        ("paperbanana", "delete_key", ("pb_a/b?c",), "/api/admin/keys/pb_a%2Fb%3Fc"),
        ("paperbanana", "get_history", ("a/b?c",), "/api/admin/history/a%2Fb%3Fc"),
    ],
)
def test_an_id_stays_one_segment_of_the_path(
    provider: str, method: str, words: tuple[str, ...], path: str, httpserver: HTTPServer
) -> None:
    client = CLIENTS[provider][0](KEY, admin_key=KEY, base_url=httpserver.url_for("").rstrip("/"), max_retries=0)

    with client, suppress(APIStatusError):
        getattr(client, method)(*words)
    ((request, _),) = httpserver.log

    assert request.environ["RAW_URI"].partition("?")[0] == path


@pytest.mark.parametrize(
    ("file", "kind"),
    [(b"\x89PNG\r\n", "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"RIFF0000WEBPVP8 ", "image/webp")],
)
def test_an_upload_carries_the_file(file: bytes, kind: str, httpserver: HTTPServer) -> None:
    client = GoBananas(KEY, base_url=httpserver.url_for("").rstrip("/"))

    with client, suppress(APIStatusError):
        client.upload_image(file, file_name="my stand.png")
    ((request, _),) = httpserver.log

    with request.files["file"].stream as stream:
        content = stream.read()
    sent = request.files["file"]
    assert (request.method, request.path) == ("POST", "/api/images/upload")
    assert (content, sent.mimetype, sent.filename) == (file, kind, "my%20stand.png")


def test_an_upload_may_name_an_address_instead(httpserver: HTTPServer) -> None:
    with GoBananas(KEY, base_url=httpserver.url_for("").rstrip("/")) as client:
        with suppress(APIStatusError):
            client.upload_image(image_url="https://example.com/stand.png")
        for words in ({}, {"file": b"", "image_url": ""}):
            with pytest.raises(ValueError, match="a file or an image_url"):
                client.upload_image(**words)
    ((request, _),) = httpserver.log

    found = operation(contract("gobananas"), "upload_image")
    assert request_errors(found, {}, json.loads(request.data)) == []


async def _awaited(client: Any, answer: Any) -> None:
    async with client:
        await answer


def _properties(found: Operation) -> Any:
    return (found.body or {}).get("properties", {})


def _holds_the_key(found: Operation, request: Request, query: dict[str, str], body: Any) -> None:
    """The key is where the contract wants it, and nowhere else; the query is left without it."""
    where = found.security
    places = {
        "query": query.pop("api_token", None),
        "header": request.headers.get("X-Banana-API-Key") or request.headers.get("X-API-Key") or _bearer(request),
        "body": body.get("apiKey") if isinstance(body, dict) else None,
    }
    assert {place for place, key in places.items() if key == KEY} == where
    assert {place for place, key in places.items() if key is not None} == where


def _bearer(request: Request) -> str | None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key if scheme in ("Bearer", "Key") else None
