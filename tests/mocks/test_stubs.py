"""Stubs: which requests they answer, with what, how often, and what is said about them afterwards."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any

import httpx  # noqa: TID251 - respx answers in its words
import httpx2
import pytest
import respx
from pydantic import ValidationError

from bananastand_mocks.kernel.stub import Stub, StubSpec
from bananastand_mocks.running import Endpoint, MockSession
from bananastand_mocks.server import Server, create_app
from tinymock import Response, app, ask

LOCAL = {"host": "127.0.0.1:8750"}
WORLD = "/_stand/worlds/default"
TOKEN = "at_r0123456789abcdef0123456789abcdef"
MODELS = f"/lowcodeapi/bananadev/v1/models?api_token={TOKEN}"


def call(asgi: Any, *args: Any, **options: Any) -> Response:
    return asyncio.run(ask(asgi, *args, **options))


def control(server: Server, method: str, path: str, body: Any = None) -> Response:
    return call(server, method, f"{WORLD}{path}", body, key=None, headers=LOCAL)


def add(zoo: Any, times: int | None = None, **request: Any) -> Stub:
    return zoo.worlds.default.stubs.add(StubSpec.model_validate({"request": request, "times": times}))


@pytest.mark.parametrize(
    ("options", "content", "kind"),
    [
        ({"json": {"a": [1]}}, b'{"a":[1]}', "application/json"),
        ({"json": None}, b"null", "application/json"),
        ({"text": "caf\u00e9"}, b"caf\xc3\xa9", "text/plain; charset=utf-8"),
        ({"content": b"\x89PNG"}, b"\x89PNG", "application/octet-stream"),
        ({"content": b"GIF", "headers": {"Content-Type": "image/gif"}}, b"GIF", "image/gif"),
        ({}, b"", "text/plain; charset=utf-8"),
    ],
)
def test_a_stub_answers_with_its_own_status_headers_and_body(
    options: dict[str, Any], content: bytes, kind: str
) -> None:
    zoo = app()
    headers = {"X-From": "stub", **options.pop("headers", {})}
    add(zoo, operation="list_animals").respond(418, headers=headers, **options)

    answer = call(zoo, "GET", "/animals")

    assert (answer.status, answer.content, answer.headers["content-type"]) == (418, content, kind)
    assert answer.headers["x-from"] == "stub"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert call(zoo, "GET", "/animals/cow").json()["name"] == "Berta"  # another operation


def test_responses_come_in_order_and_the_last_one_stays() -> None:
    zoo = app()
    add(zoo, operation="list_animals").respond(503).respond(500).respond(json={"animals": []})

    assert [call(zoo, "GET", "/animals").status for _ in range(4)] == [503, 500, 200, 200]


def test_after_so_many_times_the_provider_answers_again() -> None:
    zoo = app()
    add(zoo, times=2, operation="list_animals").respond(503)

    assert [call(zoo, "GET", "/animals").status for _ in range(3)] == [503, 503, 200]


def test_the_newest_stub_answers_first() -> None:
    zoo = app()
    add(zoo).respond(500)
    newest = add(zoo, times=1, path="/animals").respond(503)

    assert [call(zoo, "GET", "/animals").status for _ in range(2)] == [503, 500]
    newest.remove()
    assert [stub.spec.responses[0].status for stub in zoo.worlds.default.stubs] == [500]


def test_a_response_without_a_body_has_none() -> None:
    zoo = app()
    add(zoo).respond(204)

    answer = call(zoo, "DELETE", "/animals/cow")

    assert (answer.status, answer.content) == (204, b"")
    assert "content-length" not in answer.headers


@pytest.mark.parametrize(
    ("request_", "fits"),
    [
        ({"operation": "create_animal"}, True),
        ({"operation": "list_animals"}, False),
        ({"provider": "zoo", "method": "post"}, True),
        ({"provider": "farm"}, False),
        ({"method": "PUT"}, False),
        ({"path": "/animals"}, True),
        ({"path": "/{kind}"}, True),
        ({"path": "/animals/{id}"}, False),
        ({"path": {"matches": "/an.*"}}, True),
        ({"path": {"matches": "/an"}}, False),  # all of the text
        ({"query": {"page": 2}}, True),
        ({"query": {"page": {"matches": "[0-9]"}, "tag": "b"}}, True),  # one of two tags
        ({"query": {"page": "3"}}, False),
        ({"query": {"colour": {"absent": True}}}, True),
        ({"query": {"page": {"absent": True}}}, False),
        ({"query": {"colour": {"absent": False}}}, False),
        ({"headers": {"X-Team": {"contains": "lion"}}}, True),
        ({"headers": {"x-team": "lion"}}, False),
        ({"headers": {"x-none": {"absent": True}}}, True),
        ({"body": {"name": "Willi"}}, True),
        ({"body": {"name": "Willi", "food": {"kinds": ["hay", "oats"]}}}, True),
        ({"body": {"food": {"kinds": ["hay"]}}}, False),  # a list is compared as a whole
        ({"body": {"legs": 4.0}}, True),
        ({"body": {"legs": True}}, False),
        ({"body": {}}, True),
        ({"body": None}, False),
        ({"body_text": {"contains": '"name": "Willi"'}}, True),
        ({"body_text": "Willi"}, False),
        ({"body_paths": {"$.name": "Willi"}}, True),
        ({"body_paths": {"$.food.kinds[1]": {"contains": "oat"}}}, True),
        ({"body_paths": {"$.food.kinds[*]": "hay"}}, True),
        ({"body_paths": {"$.food.kinds": {"contains": "hay"}}}, True),
        ({"body_paths": {"$..grams": {"matches": "[0-9]+"}}}, True),
        ({"body_paths": {"$.food.meals[?@.grams > 100].at": "noon"}}, True),
        ({"body_paths": {"$.food.meals[?@.grams > 500].at": "noon"}}, False),
        ({"body_paths": {"$.name": {"equal_to": {"first": "Willi"}}}}, False),
        ({"body_paths": {"$.food.meals[0]": {"equal_to": {"at": "noon", "grams": 200}}}}, True),
        ({"body_paths": {"$.wings": {"absent": True}}}, True),
        ({"body_paths": {"$.name": {"absent": False}}}, True),
        ({"body_paths": {"$.legs": True}}, False),
        ({"body_paths": {"$.name": {"contains": "Wi", "matches": ".*lli"}}}, True),
        ({"body_paths": {"$.name": {"contains": "Wi", "matches": ".*xxx"}}}, False),
    ],
)  # fmt: skip
def test_a_request_is_compared_with_the_pattern(request_: dict[str, Any], fits: bool) -> None:
    zoo = app()
    stub = add(zoo, **request_).respond(299)
    meal = {"at": "noon", "grams": 200}
    body = {"name": "Willi", "legs": 4, "food": {"kinds": ["hay", "oats"], "meals": [meal]}}

    call(zoo, "POST", "/animals?page=2&tag=a&tag=b", body, headers={"X-Team": "sea lions"})

    assert stub.called is fits
    assert (stub.near_misses() == []) is fits


def test_a_stub_answers_before_credential_contract_and_limit_are_looked_at() -> None:
    zoo = app()
    zoo.worlds.default.limits.set("zoo", calls=0, seconds=60)
    add(zoo).respond(202, json={"free": "form"})

    calls = [
        ("GET", "/animals", None, "no such key"),
        ("GET", "/animals", None, None),
        ("GET", "/animals?legs=four", None, "zoo-key"),
        ("POST", "/animals", b"{", "zoo-key"),
        ("GET", "/no/such/address", None, "zoo-key"),
        ("PUT", "/animals", {}, "zoo-key"),
    ]

    assert [call(zoo, *request, key=key).status for *request, key in calls] == [202] * 6
    assert {entry.stub for entry in zoo.worlds.default.journal} == {1}
    assert zoo.worlds.default.breaches == []


def test_faults_strike_stubbed_calls_too() -> None:
    zoo = app()
    add(zoo).respond(json={"animals": []})
    zoo.worlds.default.faults.next_calls(1, "status", "list_animals", status=503)
    assert [call(zoo, "GET", "/animals").status for _ in range(2)] == [503, 200]

    zoo.worlds.default.faults.next_calls(1, "reset")
    with pytest.raises(ConnectionResetError):
        call(zoo, "GET", "/animals")


def test_a_delay_holds_the_response_back() -> None:
    zoo = app()
    add(zoo).respond(delay=0.2)
    begun = time.monotonic()

    call(zoo, "GET", "/animals")

    assert time.monotonic() - begun >= 0.2


def test_journal_entries_name_the_stub_that_answered() -> None:
    zoo = app()
    stub = add(zoo, operation="get_animal").respond(json={"id": "x"})
    call(zoo, "GET", "/animals")
    call(zoo, "GET", "/animals/cow")

    assert [entry.stub for entry in zoo.worlds.default.journal] == [None, 1]
    assert [entry.dump()["stub"] for entry in zoo.worlds.default.journal] == [None, 1]
    assert [(entry.path, entry.status) for entry in stub.calls] == [("/animals/cow", 200)]
    assert zoo.worlds.default.coverage.report({"zoo": zoo.provider.contract})[2]["statuses"] == {"200": 1}


def test_assertions_say_what_came_nearest() -> None:
    zoo = app()
    used = add(zoo, operation="list_animals").respond()
    unused = add(zoo, operation="create_animal", body_paths={"$.name": {"contains": "Wi"}, "$.wings": 2})
    call(zoo, "GET", "/animals")
    call(zoo, "POST", "/animals", {"name": "Berta"})

    used.assert_called()
    used.assert_called_once()
    unused.assert_not_called()
    assert zoo.worlds.default.stubs.unused() == [unused]
    with pytest.raises(AssertionError, match="expected 2 calls, got 1"):
        used.assert_called(times=2)
    with pytest.raises(AssertionError) as error:
        zoo.worlds.default.stubs.assert_all_called()
    assert str(error.value).splitlines()[:4] == [
        "stub 2 (create_animal, body $.name, $.wings): expected a call, got 0",
        "near miss: call 2, POST /animals -> 201",
        "    body_paths.$.name: expected {'contains': 'Wi'}, got 'Berta'",
        "    body_paths.$.wings: expected 2, got '(missing)'",
    ]


def test_stubs_go_with_a_reset_and_survive_an_export() -> None:
    zoo = app()
    world = zoo.worlds.default
    stub = add(zoo, times=3, operation="list_animals", query={"legs": {"matches": "[0-9]"}})
    stub.respond(503, text="down", headers={"Retry-After": "3"}).respond(json=None)
    call(zoo, "GET", "/animals?legs=4")
    exported = world.dump()

    zoo.worlds.reset(world)
    assert call(zoo, "GET", "/animals?legs=4").status == 200
    zoo.worlds.restore(world, exported)

    assert world.dump()["stubs"] == exported["stubs"]
    assert call(zoo, "GET", "/animals?legs=4").content == b"null"
    assert stub.call_count == 1  # of the world before the reset
    assert add(zoo).id == 2


def test_worlds_do_not_see_each_others_stubs() -> None:
    server = Server(virtual=True, seed=1)
    world = server.worlds.create("mine")
    key = world.credentials["lowcodeapi"][0]
    world.stubs.add(StubSpec()).respond(503)

    assert call(server, "GET", MODELS, key=None).status == 200
    for address in (f"/lowcodeapi/bananadev/v1/models?api_token={key}", "/w/mine/lowcodeapi/bananadev/no/such"):
        assert call(server, "GET", address, key=None).status == 503


def test_stubs_are_set_listed_and_removed_over_http() -> None:
    server = Server(virtual=True, seed=1)
    body = {
        "request": {"operation": "list_models", "provider": "bananadev", "query": {"limit": 2}},
        "responses": [{"status": 503, "headers": {"Retry-After": "3"}, "json": {"message": "later"}}],
        "times": 1,
    }
    added = control(server, "POST", "/stubs", body)
    second = control(server, "POST", "/stubs", {"request": {"path": "/v1/models"}, "responses": [{"base64": "R0lG"}]})
    first, other = call(server, "GET", f"{MODELS}&limit=2", key=None), call(server, "GET", MODELS, key=None)
    second.json()

    assert (added.status, added.json()["id"], added.json()["call_count"]) == (201, 1, 0)
    assert added.json()["request"] == {
        "provider": "bananadev",
        "operation": "list_models",
        "query": {"limit": "2"},
    }
    assert (first.content, other.content) == (b"GIF", b"GIF")
    assert [stub["id"] for stub in control(server, "GET", "/stubs").json()["stubs"]] == [2, 1]
    (unused,) = control(server, "GET", "/stubs?unused=true").json()["stubs"]
    assert unused["near_misses"][0]["differences"] == [{"field": "query.limit", "expected": "2", "got": "(missing)"}]

    assert control(server, "DELETE", "/stubs/2").status == 204
    answer = call(server, "GET", f"{MODELS}&limit=2", key=None)
    assert (answer.status, answer.headers["retry-after"], answer.json()) == (503, "3", {"message": "later"})
    assert control(server, "GET", "/stubs/1").json()["calls"] == [3]
    assert control(server, "DELETE", "/stubs").status == 204
    assert control(server, "GET", "/stubs").json() == {"stubs": []}


def test_a_stub_says_where_it_leaves_the_contract() -> None:
    server = Server(virtual=True, seed=1)
    request = {"operation": "get_project", "provider": "banana-native"}

    wrong = control(server, "POST", "/stubs", {"request": request, "responses": [{"json": {"id": 1}}]}).json()
    fitting = control(
        server, "POST", "/stubs", {"request": request, "responses": [{"status": 404, "json": {"message": "x"}}]}
    )

    assert len(wrong["contract_differences"]) == 1
    assert "is not of type" in wrong["contract_differences"][0]
    assert fitting.json()["contract_differences"] == []


def test_a_fixture_sets_stubs_for_calls_over_http(bananadev: Endpoint, stand: MockSession) -> None:
    stub = stand.stub("get_model", provider="bananadev", path="/v1/models/{name}", times=1)
    stub.respond(503, headers={"Retry-After": "3"}, text="<h1>Bad Gateway</h1>")
    picture = stand.stub(path="/pictures/{name}").respond(content=base64.b64decode("R0lGODdh"))

    with httpx2.Client(base_url=bananadev.base_url, params={"api_token": bananadev.key}) as http:
        down, up = http.get("/v1/models/value"), http.get("/v1/models/value")
        assert (down.status_code, down.headers["retry-after"], down.text) == (503, "3", "<h1>Bad Gateway</h1>")
        assert up.status_code == 200
        assert http.get("/pictures/one.gif").content == b"GIF87a"
    stub.assert_called_once()
    assert picture.calls[0].operation is None
    stand.stubs.assert_all_called()


def test_a_client_with_a_fixed_host_meets_stubs_through_respx(respx_mock: respx.MockRouter) -> None:
    fal = create_app("fal-native", virtual=True)
    fal.worlds.default.stubs.add(
        StubSpec.model_validate({"request": {"operation": "list_models"}, "times": 1})
    ).respond(503)
    respx_mock.route(host="api.fal.ai").mock(side_effect=respx.ASGIHandler(fal))

    async def list_models() -> list[int]:
        async with httpx.AsyncClient(headers={"Authorization": "Key fal-bananastand"}) as http:
            return [(await http.get("https://api.fal.ai/v1/models")).status_code for _ in range(2)]

    assert asyncio.run(list_models()) == [503, 200]


@pytest.mark.parametrize(
    "options",
    [{"operation": "no_such"}, {"provider": "nobody"}, {"path": {"matches": "("}}, {"path": "animals"},
     {"path": "/animals?page=1"}, {"body_paths": {"name": 1}},
     {"query": {"a": {}}}, {"times": 0}, {"body": {1, 2}}],
)  # fmt: skip
def test_a_wrong_pattern_is_a_value_error(stand: MockSession, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(options)))):
        stand.stub(**options)
    assert len(stand.stubs) == 0


@pytest.mark.parametrize(
    "options", [{"status": 99}, {"json": 1, "text": "a"}, {"headers": {"a b": "c"}}, {"delay": -1}]
)
def test_a_wrong_response_is_a_value_error(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        add(app()).respond(**options)
