"""Options of one call, addresses from the environment, closed clients, and how a method documents itself."""

from __future__ import annotations

import asyncio
import inspect
import pydoc
import re
from typing import Any

import httpx2
import pytest

from bananastand.clients import Banana, BananaDev, FalAI, FalQueue, GoBananas, PaperBanana, errors
from bananastand.clients.gobananas import AsyncGoBananas
from bananastand.clients.gobananas import calls as bananas
from client_calls import CLIENTS

KINDS = pytest.mark.parametrize("kind", ["sync", "async"])
PROFILE = {
    "tenant": {
        "tenantId": "acme",
        "tenantName": "Acme",
        "quotas": {"monthly_mb": 1, "used_mb": 0, "remaining_mb": 1},
        "settings": {"defaultAspectRatio": "1:1", "maxImagesPerGeneration": 1},
    }
}
IMAGES = {"images": [], "pagination": {"total": 0, "limit": 50, "offset": 0, "has_more": False}}


class Server:
    """Answers every request with one status and body, and keeps the requests."""

    def __init__(self, status: int = 200, body: Any = None) -> None:
        self.status, self.body, self.requests = status, body or PROFILE, list[httpx2.Request]()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return httpx2.Response(self.status, json=self.body)


def call(kind: str, server: Server, method: str, *arguments: Any, options: Any = None, **client: Any) -> Any:
    """The result of a method of one of the two clients."""
    transport, words = httpx2.MockTransport(server), options or {}
    if kind == "sync":
        with GoBananas("key", transport=transport, **client) as bananas_client:
            result = getattr(bananas_client, method)(*arguments, **words)
            return list(result) if method.startswith("each_") else result

    async def wait() -> Any:
        async with AsyncGoBananas("key", transport=transport, **client) as bananas_client:
            result = getattr(bananas_client, method)(*arguments, **words)
            return [item async for item in result] if method.startswith("each_") else await result

    return asyncio.run(wait())


# Options of a call -----------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize(
    ("method", "arguments", "body", "usual"),
    [("get_profile", (), PROFILE, 60.0), ("create_image", ("a hill",), {"images": [], "session_id": "s"}, 180.0),
     ("each_image", (), IMAGES, 60.0)],
)  # fmt: skip
def test_a_call_has_its_own_timeout(kind: str, method: str, arguments: Any, body: Any, usual: float) -> None:
    server = Server(body=body)
    call(kind, server, method, *arguments, options={"timeout": 1.5})
    call(kind, server, method, *arguments)

    assert [request.extensions["timeout"]["read"] for request in server.requests] == [1.5, usual]


@KINDS
def test_a_call_has_its_own_retries(kind: str) -> None:
    server = Server(503)
    with pytest.raises(errors.ServerError):
        call(kind, server, "get_profile", options={"max_retries": 0}, max_retries=2)
    assert len(server.requests) == 1


@KINDS
def test_a_call_has_headers_of_its_own_and_in_place_of_the_clients(kind: str) -> None:
    server = Server()
    call(kind, server, "get_profile", options={"headers": {"X-Trace": "7", "user-agent": "mine", "x-api-key": "other"}})
    call(kind, server, "get_profile")

    first, second = (request.headers for request in server.requests)
    assert (first["x-trace"], first["user-agent"], first.get_list("x-api-key")) == ("7", "mine", ["other"])
    assert ("x-trace" in second, second["user-agent"], second["x-api-key"]) == (False, "bananastand-clients", "key")


def test_a_flow_passes_the_options_to_each_of_its_requests() -> None:
    server = Server(body={"task_id": "a", "status": "completed"})
    with PaperBanana("pb_0", transport=httpx2.MockTransport(server)) as client:
        client.wait_for_task("a", timeout=2.5, headers={"X-Trace": "7"})
        client.wait_for_task("a", timeout=2.5, deadline=1.5)

    first, second = server.requests
    assert (first.extensions["timeout"]["read"], first.headers["x-trace"]) == (2.5, "7")
    assert second.extensions["timeout"]["read"] <= 1.5, "the deadline comes first"


def test_send_and_exchange_take_the_options_too() -> None:
    server = Server()
    with GoBananas("key", transport=httpx2.MockTransport(server)) as client:
        client.send(bananas.get_profile(), timeout=1.5)
        assert client.exchange(bananas.get_profile(), headers={"X-Trace": "7"}).status == 200

    assert server.requests[0].extensions["timeout"]["read"] == 1.5
    assert server.requests[1].headers["x-trace"] == "7"


@pytest.mark.parametrize(
    ("options", "text"),
    [({"timeout": 0}, "timeout is 0: it must be more than 0"), ({"timeout": -1.0}, "more than 0"),
     ({"max_retries": -1}, "max_retries is -1: it must be 0 or more")],
)  # fmt: skip
def test_an_impossible_option_is_refused(options: dict[str, Any], text: str) -> None:
    with GoBananas("key") as client, pytest.raises(ValueError, match=text):
        client.get_profile(**options)
    with pytest.raises(ValueError, match=text):
        GoBananas("key", **options)


# Where a client calls --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "variable", "text", "url"),
    [
        (Banana, "BANANA_BASE_URL", "http://127.0.0.1:8750/banana/", "http://127.0.0.1:8750/banana"),
        (BananaDev, "LOWCODEAPI_BASE_URL", "http://127.0.0.1:1/lowcodeapi", "http://127.0.0.1:1/lowcodeapi/bananadev"),
        (FalAI, "LOWCODEAPI_BASE_URL", "http://127.0.0.1:1/lowcodeapi/", "http://127.0.0.1:1/lowcodeapi/falai"),
        (FalQueue, "FAL_BASE_URL", "http://127.0.0.1:1/fal-queue", "http://127.0.0.1:1/fal-queue"),
        (GoBananas, "GOBANANAS_BASE_URL", "http://127.0.0.1:1", "http://127.0.0.1:1"),
        (PaperBanana, "PAPERBANANA_BASE_URL", "http://127.0.0.1:1", "http://127.0.0.1:1"),
    ],
)
def test_the_address_is_read_from_the_environment_unless_one_is_passed(
    client: Any, variable: str, text: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with client("key") as by_environment, client("key", base_url="http://127.0.0.1:2/") as by_argument:
        assert by_environment.session.base_url == url
        assert by_argument.session.base_url == "http://127.0.0.1:2"
    monkeypatch.setenv(variable, "")
    with client("key") as by_default:
        assert by_default.session.base_url == client.provider.base_url


# A closed client -------------------------------------------------------------------------------------------------


@KINDS
def test_a_closed_client_says_so(kind: str) -> None:
    classes: dict[str, Any] = {"sync": (GoBananas, httpx2.Client), "async": (AsyncGoBananas, httpx2.AsyncClient)}
    of, http = classes[kind]

    def run(result: Any) -> Any:
        return asyncio.run(result) if inspect.isawaitable(result) else result

    closed, lent = of("key"), of("key", http=(shared := http(transport=httpx2.MockTransport(Server()))))
    run(closed.close() if kind == "sync" else closed.aclose())
    with pytest.raises(errors.ClientClosed, match=f"this {of.__name__} is closed; make the call inside its `with`"):
        run(closed.get_profile())
    run(shared.close() if kind == "sync" else shared.aclose())
    with pytest.raises(errors.ClientClosed, match="the `http` that was passed is closed"):
        run(lent.get_profile())


def test_a_closed_client_reads_no_log() -> None:
    banana = Banana("key")
    banana.close()

    with pytest.raises(errors.ClientClosed, match="this Banana is closed"):
        banana.build_log("build-1")


# Help ------------------------------------------------------------------------------------------------------------

METHODS = [
    pytest.param(client, name, id=f"{client.__name__}.{name}")
    for pair in CLIENTS.values()
    for client in pair
    for name, value in vars(client).items()
    if not name.startswith("_") and hasattr(value, "__wrapped__")
]


def test_help_shows_the_signature_and_the_ranges_of_a_method() -> None:
    text = pydoc.plain(pydoc.render_doc(FalAI.list_models))

    assert "list_models(self, *, limit: int | None = None, offset: int | None = None, search: str | None" in text
    assert "timeout: float | None = None, max_retries: int | None = None, headers: Mapping[str, str] | None" in text
    assert ") -> ModelList" in text
    assert "limit: Entries of a page, from 1." in text
    assert "timeout: Seconds for a response of this call, more than 0; by default the client's." in text


@pytest.mark.parametrize(("client", "name"), METHODS)
def test_every_argument_of_a_method_is_documented_and_numbers_with_their_range(client: Any, name: str) -> None:
    method = getattr(client, name)
    parameters = list(inspect.signature(method).parameters.values())
    text = inspect.getdoc(method) or ""
    arguments = dict(
        re.findall(r"^    (\w+): (.+(?:\n        .+)*)", text.partition("Args:")[2].partition("\n\n")[0], re.M)
    )
    numbers = [
        parameter.name for parameter in parameters if re.match(r"(int|float)( \| None)?$", str(parameter.annotation))
    ]

    assert parameters[0].name == "self"
    assert list(arguments) == [parameter.name for parameter in parameters[1:]]
    assert [number for number in numbers if not re.search(r"\d|Id of|`?id`? of|Unix", arguments[number])] == []
    assert "session" not in arguments


def test_the_methods_of_both_clients_give_the_same() -> None:
    signatures = [
        (str(inspect.signature(getattr(blocking, name))), str(inspect.signature(getattr(asynchronous, name))))
        for blocking, asynchronous in CLIENTS.values()
        for name, value in vars(blocking).items()
        if hasattr(value, "__wrapped__")
    ]

    assert len(signatures) > 80
    assert [first.replace("-> Iterator[", "-> AsyncIterator[") for first, _ in signatures] == [
        second for _, second in signatures
    ]
