"""One provider over HTTP, from a request to its response, on a provider made up for these tests."""

from __future__ import annotations

import asyncio
import copy
import json
import sqlite3
from typing import Any

import pytest

from bananastand.contracts.contract import Contract
from bananastand.contracts.errors import ProviderError, Violation
from bananastand.contracts.json_body import MAX_MEMBERS, MalformedJson, parse
from bananastand.contracts.parameters import Parameters
from bananastand.contracts.schemas import Schemas
from bananastand_mocks.kernel.errors import ContractBreach
from tinymock import CONTRACT, KEY, Response, Zoo, app, ask


def call(asgi: Any, *args: Any, **options: Any) -> Response:
    return asyncio.run(ask(asgi, *args, **options))


def test_a_created_animal_is_found_again() -> None:
    zoo = app()

    created = call(zoo, "POST", "/animals", {"name": "Willi", "legs": 2})
    found = call(zoo, "GET", f"/animals/{created.json()['id']}")

    assert created.status == 201
    assert found.status == 200
    assert found.json() == {"id": created.json()["id"], "name": "Willi", "legs": 2, "sound": "moo"}
    assert found.headers["content-type"] == "application/json"
    assert found.headers["access-control-allow-origin"] == "*"


def test_an_id_nobody_created_is_not_found() -> None:
    answer = call(app(), "GET", "/animals/nobody")

    assert (answer.status, answer.json()) == (404, {"oops": "not_found"})


def test_query_parameters_are_read_as_their_types() -> None:
    zoo = app()

    assert call(zoo, "GET", "/animals?legs=4").json() == {"animals": [{"id": "cow", "name": "Berta", "legs": 4}]}
    assert call(zoo, "GET", "/animals?legs=2").json() == {"animals": []}
    assert call(zoo, "GET", "/animals?legs=four").json() == {"oops": "violation", "fields": ["query legs type"]}
    assert call(zoo, "GET", "/animals?tame=yes").json() == {"oops": "violation", "fields": ["query tame type"]}
    assert call(zoo, "GET", "/animals?name=a&name=b&&=&unknown=1").status == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"name": "Willi", "legs": "2"}, ["body legs type"]),
        ({"name": "Willi", "legs": True}, ["body legs type"]),
        ({"legs": 2}, ["body name required"]),
        ({"name": ""}, ["body name minLength"]),
        ({"name": "Willi", "wings": 2}, ["body  additionalProperties"]),
        ({"name": "Willi", "born": "2024-02-30"}, ["body born format"]),
        ([], ["body  type"]),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_its_fields(body: Any, fields: list[str]) -> None:
    answer = call(app(), "POST", "/animals", body)

    assert (answer.status, answer.json()) == (400, {"oops": "violation", "fields": fields})


@pytest.mark.parametrize(
    ("body", "condition"),
    [
        (b"{", "malformed_json"),
        (b'{"name": NaN}', "malformed_json"),
        (b'{"name": 1e999}', "malformed_json"),
        (b'{"name": "\\ud800"}', "malformed_json"),
        (b"\xff\xfe", "malformed_json"),
        (b"[" * 101 + b"]" * 101, "too_deep"),
        (b"[" * 499 + b"]" * 499, "too_deep"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_in_the_providers_words(body: bytes, condition: str) -> None:
    answer = call(app(), "POST", "/animals", body)

    assert (answer.status, answer.json()) == (400, {"oops": condition})


def test_a_body_that_is_too_long_is_refused_while_it_arrives() -> None:
    answer = call(app(), "POST", "/animals", chunks=[b" " * 600, b" " * 600])

    assert (answer.status, answer.json()) == (413, {"oops": "too_large"})


def test_unknown_addresses_and_methods_have_the_providers_own_errors() -> None:
    zoo = app()

    assert call(zoo, "GET", "/plants").json() == {"oops": "unknown_route"}
    assert call(zoo, "PATCH", "/animals").json() == {"oops": "wrong_method"}


def test_head_is_get_without_the_body() -> None:
    answer = call(app(), "HEAD", "/animals")

    assert (answer.status, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "50"


def test_an_alias_is_answered_by_its_original() -> None:
    assert call(app(), "GET", "/animal").json()["animals"][0]["id"] == "cow"


def test_a_key_opens_its_own_world_only() -> None:
    zoo = app()
    other = zoo.worlds.create(kind="empty")

    assert call(zoo, "GET", "/animals", key=other.credentials["zoo"][0]).json() == {"animals": []}
    assert len(call(zoo, "GET", "/animals").json()["animals"]) == 1
    assert call(zoo, "GET", "/animals", key="wrong").json() == {"oops": "unknown_credential"}
    assert call(zoo, "GET", "/animals", key=None).json() == {"oops": "unauthorized"}


def test_a_response_that_breaks_the_contract_is_raised_in_tests_and_noted_in_service(caplog: Any) -> None:
    with pytest.raises(ContractBreach, match="zoo get_animal: .*id: 1 is not of type"):
        call(app(), "GET", "/animals/breach")

    lenient = app(strict=False)
    assert call(lenient, "GET", "/animals/breach").status == 200
    assert lenient.worlds.default.breaches[0].startswith("zoo get_animal: ")
    assert "zoo get_animal response does not fit its contract" in caplog.text


def test_an_exception_is_raised_in_tests_and_a_500_of_the_provider_in_service(caplog: Any) -> None:
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        call(app(), "GET", "/animals/crash")

    assert call(app(strict=False), "GET", "/animals/crash").json() == {"oops": "server_error"}
    assert "a mistake of ours" in caplog.text


def test_a_status_fault_has_the_providers_form_and_ends() -> None:
    zoo = app()
    zoo.worlds.default.faults.next_calls(1, "status", "list_animals", status=503)

    answers = [call(zoo, "GET", "/animals") for _ in range(2)]

    assert [(item.status, item.json().get("oops")) for item in answers] == [(503, "fault"), (200, None)]


def test_malformed_json_and_slow_bodies_are_injected() -> None:
    zoo = app()
    zoo.worlds.default.faults.next_calls(1, "malformed_json")
    with pytest.raises(json.JSONDecodeError):
        call(zoo, "GET", "/animals").json()

    zoo.worlds.default.faults.next_calls(1, "slow_body", seconds=0.02)
    assert len(call(zoo, "GET", "/animals").json()["animals"]) == 1


@pytest.mark.parametrize(
    ("body", "content", "kind"),
    [
        (None, b'{"oops":"fault"}', "application/json"),
        ({"error": {"code": "overloaded"}}, b'{"error":{"code":"overloaded"}}', "application/json"),
        ("<h1>Bad Gateway</h1>", b"<h1>Bad Gateway</h1>", "text/html"),
    ],
)
def test_a_status_fault_has_its_own_headers_and_body(body: Any, content: bytes, kind: str) -> None:
    zoo = app()
    headers = {"Retry-After": "3", **({"Content-Type": kind} if isinstance(body, str) else {})}
    zoo.worlds.default.faults.next_calls(1, "status", status=502, headers=headers, body=body)

    answer = call(zoo, "GET", "/animals")

    assert (answer.status, answer.headers["retry-after"], answer.content) == (502, "3", content)
    assert answer.headers["content-type"] == kind
    assert zoo.worlds.default.breaches == []


@pytest.mark.parametrize("kind", ["reset", "truncated_body"])
def test_a_broken_connection_is_raised_in_process(kind: Any) -> None:
    zoo = app()
    zoo.worlds.default.faults.next_calls(1, kind)

    with pytest.raises(ConnectionResetError):
        call(zoo, "GET", "/animals")


def test_a_rate_limit_counts_and_ends_with_its_window() -> None:
    zoo = app()
    world = zoo.worlds.default
    world.limits.set("zoo", calls=2, seconds=60)

    answers = [call(zoo, "GET", "/animals") for _ in range(3)]
    world.clock.advance(60)
    answers.append(call(zoo, "GET", "/animals"))

    assert [item.status for item in answers] == [200, 200, 429, 200]
    assert [item.headers["x-remaining"] for item in answers] == ["1", "0", "0", "1"]


def test_events_happen_when_the_clock_is_advanced() -> None:
    zoo = app()
    world = zoo.worlds.default
    animal = call(zoo, "POST", "/animals", {"name": "Willi"}).json()["id"]

    world.clock.advance(59)
    assert "grown" not in world.table("zoo.animals")[animal]
    world.clock.advance(100)
    assert world.table("zoo.animals")[animal]["grown"] == 1_767_225_660.0


def test_every_call_can_move_the_clock() -> None:
    zoo = app()
    world = zoo.worlds.default
    animal = call(zoo, "POST", "/animals", {"name": "Willi"}).json()["id"]
    world.clock.step = 25

    polls = [call(zoo, "GET", f"/animals/{animal}").json().get("grown") for _ in range(4)]

    assert polls == [None, None, 1_767_225_660.0, 1_767_225_660.0]
    assert world.clock.now() == 1_767_225_700.0
    assert call(zoo, "GET", "/animals", key="no such key").status == 401
    assert world.clock.now() == 1_767_225_700.0  # an unknown key opens no world


def test_steps_lead_out_of_a_rate_limit_and_end_with_the_clock() -> None:
    zoo = app()
    world = zoo.worlds.default
    world.limits.set("zoo", calls=1, seconds=60)
    world.clock.step = 20

    assert [call(zoo, "GET", "/animals").status for _ in range(4)] == [200, 429, 429, 200]

    world.limits.unset("zoo")
    world.clock.step = 1e9
    world.clock.advance(221e9 - world.clock.now())
    assert [call(zoo, "GET", "/animals").status for _ in range(2)] == [200, 200]
    assert world.clock.now() == 221_845_392_000.0  # 9000-01-01T00:00:00Z


def test_the_journal_has_the_call_without_its_key() -> None:
    zoo = app()
    call(zoo, "POST", "/animals?api_token=at_1", {"name": "Willi", "legs": 2})
    call(zoo, "GET", "/nowhere")

    created, lost = zoo.worlds.default.journal
    assert (created.operation, created.method, created.path, created.status) == (
        "create_animal",
        "POST",
        "/animals",
        201,
    )
    assert created.body == {"name": "Willi", "legs": 2}
    assert created.query == {"api_token": "[redacted]"}
    assert created.headers["x-api-key"] == "[redacted]"
    assert json.loads(created.answer)["name"] == "Willi"
    assert (lost.operation, lost.path, lost.status) == (None, "/nowhere", 404)
    assert KEY not in json.dumps([item.dump() for item in (created, lost)])


def test_same_seed_and_same_calls_give_the_same_journal() -> None:
    def journal() -> str:
        zoo = app()
        for name in ("Willi", "Berta"):
            call(zoo, "POST", "/animals", {"name": name})
        return json.dumps([item.dump() for item in zoo.worlds.default.journal])

    assert journal() == journal()


def test_coverage_lists_what_was_called_and_what_is_missing() -> None:
    zoo = app()
    call(zoo, "POST", "/animals", {"name": "Willi"})
    call(zoo, "GET", "/animals?legs=four")

    rows = {row["operation"]: row for row in zoo.worlds.default.coverage.report({"zoo": zoo.provider.contract})}

    assert rows["create_animal"]["statuses"] == {"201": 1}
    assert rows["create_animal"]["missing_parameters"] == ["born", "legs"]
    assert rows["list_animals"]["statuses"] == {"400": 1}
    assert rows["list_animals"]["missing_statuses"] == ["200", "401", "429"]
    assert rows["delete_animal"]["calls"] == 0


def test_the_contract_is_served() -> None:
    zoo = app()

    assert call(zoo, "GET", "/openapi.json", key=None).json()["info"]["title"] == "Zoo"
    assert zoo.openapi()["info"]["title"] == "Zoo"


def test_browsers_may_call() -> None:
    preflight = {"origin": "http://page.test", "access-control-request-method": "POST",
             "access-control-request-headers": "content-type"}  # fmt: skip

    answer = call(app(), "OPTIONS", "/animals", headers=preflight)

    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "content-type"


def test_parameters_that_came_as_json_keep_their_types() -> None:
    declared = [
        {"name": "names", "in": "query", "explode": False, "schema": {"type": "array", "items": {"type": "string"}}},
        {"name": "legs", "in": "query", "schema": {"type": "array", "items": {"type": "integer"}}},
    ]
    parameters, wrong = Parameters("query", declared, Schemas({}), "read"), list[Violation]()

    assert parameters.read({"names": "a,b", "legs": [1, "2"]}, wrong) == {"names": ["a", "b"], "legs": [1, 2]}
    assert wrong == []
    parameters.read({"names": [1], "legs": [None]}, wrong)
    assert [item.field for item in wrong] == ["names.0", "legs.0"]


def test_a_secret_is_hidden_wherever_it_occurs() -> None:
    zoo = app()
    world = zoo.worlds.default
    world.admit("pass", "s3cr3t-pass")
    call(zoo, "GET", f"/animals/{KEY}?name={KEY}&other=1", headers={"x-mine": f"Bearer {KEY}"})
    call(zoo, "POST", "/animals", {"name": "s3cr3t-pass", "legs": 2})
    call(zoo, "POST", "/animals", b"name=s3cr3t-pass", headers={"content-type": "text/plain"})

    stored = json.dumps([item.dump() for item in world.journal])
    assert KEY not in stored
    assert "s3cr3t-pass" not in stored
    assert [item.status for item in world.journal] == [404, 201, 400]
    (_, created, _) = world.journal
    assert json.loads(created.answer)["name"] == "[redacted]"
    assert created.body == {"name": "[redacted]", "legs": 2}


def test_coverage_remembers_the_contracts_own_parameters_only() -> None:
    zoo = app()
    for number in range(50):
        call(zoo, "POST", f"/animals?q{number}=1", {"name": "Willi", f"b{number}": 1})
    call(zoo, "GET", "/animals?tame=true", headers={"X-Colour": "brown"})

    rows = {row["operation"]: row for row in zoo.worlds.default.coverage.report({"zoo": zoo.provider.contract})}
    assert rows["create_animal"]["parameters"] == ["name"]
    assert rows["list_animals"]["parameters"] == ["tame", "x-colour"]


def test_an_event_that_fails_is_a_breach_and_not_the_answer_of_the_call_it_fell_due_in() -> None:
    zoo = app(strict=False)
    world = zoo.worlds.default
    world.clock.after(5, "zoo.grow", id="nobody")
    world.clock.after(6, "zoo.grow", id="cow")

    assert world.clock.advance(10) == 2
    assert call(zoo, "GET", "/animals").status == 200
    assert world.breaches == ["event zoo.grow: KeyError('nobody')"]
    assert world.table("zoo.animals")["cow"]["grown"] == 1_767_225_606.0


@pytest.mark.parametrize("animal", ["nan", "surrogate"])
def test_a_response_that_cannot_be_encoded_is_a_500_of_the_provider(animal: str) -> None:
    zoo = app(strict=False)

    answer = call(zoo, "GET", f"/animals/{animal}")

    assert (answer.status, answer.json()) == (500, {"oops": "server_error"})
    assert call(zoo, "GET", "/animals").status == 200


def test_an_unknown_condition_is_a_500_of_the_provider() -> None:
    answer = call(app(strict=False), "GET", "/animals/unnamed")

    assert (answer.status, answer.json()) == (500, {"oops": "server_error"})


def test_a_change_that_cannot_be_saved_is_not_acknowledged() -> None:
    zoo = app(strict=False)

    def full(world: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    zoo.worlds.keep = full
    answer = call(zoo, "POST", "/animals", {"name": "Willi"})

    assert (answer.status, answer.json()) == (500, {"oops": "server_error"})


def test_only_the_first_hundred_breaches_are_stored() -> None:
    zoo = app(strict=False)
    for _ in range(150):
        call(zoo, "GET", "/animals/breach")

    assert len(zoo.worlds.default.breaches) == 100


def test_every_counted_response_has_the_limits_headers_and_a_provider_says_who_is_counted() -> None:
    zoo = app()
    zoo.worlds.default.limits.set("zoo", calls=3, seconds=60)

    assert call(zoo, "GET", "/animals").headers["x-remaining"] == "2"
    assert call(zoo, "GET", "/animals/nobody").headers["x-remaining"] == "1"
    assert call(zoo, "POST", "/animals", {}).headers["x-remaining"] == "0"
    assert "x-remaining" not in call(zoo, "GET", "/nothing").headers

    zoo.provider.subject = lambda call: None
    assert [call(zoo, "GET", "/animals").status for _ in range(5)] == [200] * 5


def test_a_literal_path_has_its_own_methods_alone() -> None:
    document = copy.deepcopy(CONTRACT)
    document["paths"]["/animals/count"] = {"get": {"x-alias-of": "list_animals", "responses": {"200": {}}}}
    routes = Contract(document).routes

    assert routes.find("GET", "/animals/count")[0].id == "list_animals"
    assert routes.find("DELETE", "/animals/cow")[0].id == "delete_animal"
    with pytest.raises(ProviderError) as refused:
        routes.find("DELETE", "/animals/count")
    assert refused.value.problem.details["allowed"] == ["GET"]


def test_a_body_of_another_type_that_the_contract_names_stays_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    document = copy.deepcopy(CONTRACT)
    document["paths"]["/animals"]["post"]["requestBody"]["content"]["image/png"] = {}
    monkeypatch.setattr("tinymock.CONTRACT", document)
    got = list[tuple[Any, bytes]]()

    def create_animal(call: Any, body: Any) -> Any:
        got.append((body, call.raw))
        return {"id": "a", "name": "a", "legs": 4}

    monkeypatch.setitem(Zoo.endpoints, "create_animal", create_animal)
    zoo = app()

    assert call(zoo, "POST", "/animals", b"\x89PNG", headers={"content-type": "image/png"}).status == 201
    assert call(zoo, "POST", "/animals", b"{}", headers={"content-type": "text/plain"}).status == 400
    assert got == [(None, b"\x89PNG")]


def test_a_body_of_too_many_members_is_refused_and_a_long_list_is_not():
    many = b"{" + b",".join(b'"%d":0' % i for i in range(MAX_MEMBERS + 1)) + b"}"
    with pytest.raises(MalformedJson, match=f"more than {MAX_MEMBERS} members"):
        parse(many)
    assert len(parse(many, members=None)) == MAX_MEMBERS + 1
    assert len(parse(json.dumps({"image": [0.5] * 300_000, "a": '":' * 300_000}).encode())) == 2
