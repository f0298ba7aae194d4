"""OpenAPI documents of one's own, called over HTTP: resources last, answers come from examples, calls are checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import bananastand_mocks
from bananastand_mocks.running import MockSession, RunningServer

DOCUMENTS = Path(__file__).with_name("documents")
KEY = {"Authorization": "Bearer any"}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    documents = [DOCUMENTS / "petstore.yaml", DOCUMENTS / "forge.json", f"{DOCUMENTS / 'kitchen.yaml'},cook"]
    with bananastand_mocks.start("falai", openapi=documents) as running:
        yield running


@pytest.fixture
def stand(server: RunningServer) -> MockSession:
    return server.stand()


@pytest.fixture
def pets(stand: MockSession) -> Iterator[httpx2.Client]:
    yield from client(stand, "petstore")


@pytest.fixture
def forge(stand: MockSession) -> Iterator[httpx2.Client]:
    yield from client(stand, "forge")


@pytest.fixture
def cook(stand: MockSession) -> Iterator[httpx2.Client]:
    yield from client(stand, "cook")


def client(stand: MockSession, name: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=stand.endpoint(name).base_url, headers=KEY, timeout=60) as http:
        yield http


PET = {"name": "tom", "photoUrls": [], "status": "sold", "owner": None, "weight": 4.5}


def test_what_is_created_is_found_listed_changed_and_removed(pets: httpx2.Client) -> None:
    created = pets.post("/pet", json=PET).json()
    address = f"/pet/{created['id']}"
    assert {**created, **PET} == created
    assert pets.get(address).json() == created
    assert created in pets.get("/pet/findByStatus", params={"status": "sold"}).json()
    assert created not in pets.get("/pet/findByStatus", params={"status": "pending"}).json()

    assert pets.post(address, data={"name": "tim"}).json() == {**created, "name": "tim"}
    assert pets.put("/pet", json={**PET, "id": created["id"], "name": "ted"}).json()["name"] == "ted"
    assert pets.get(address).json()["name"] == "ted"

    assert pets.delete(address).status_code == 204
    assert [pets.get(address).status_code, pets.delete(address).status_code] == [404, 404]
    assert pets.put("/pet", json={**PET, "id": created["id"]}).status_code == 404


def test_ids_are_the_clients_where_it_chooses_them_and_never_where_they_are_read_only(pets: httpx2.Client) -> None:
    assert pets.post("/pet", json={**PET, "id": 77}).json()["id"] == 77
    assert pets.get("/pet/77").status_code == 200
    assert pets.post("/store/order", json={"petId": 1, "id": 99}).json()["id"] != 99
    assert pets.post("/user", json={"username": "ann", "password": "secret"}).status_code == 201
    assert pets.get("/user/ann").json().keys() == {"username", "email"}  # a password is only written
    assert pets.post("/user", json={"username": "ann"}).status_code == 409


def test_nested_resources_belong_to_their_parents(forge: httpx2.Client) -> None:
    created = forge.post("/users/ann/repos", json={"name": "pear", "private": True})
    assert (created.status_code, created.json()["name"], created.json()["private"]) == (201, "pear", True)
    assert created.headers["location"] == f"{forge.base_url}users/ann/repos/pear"
    assert forge.get("/users/bob/repos/pear").status_code == 404

    issue = forge.post("/users/ann/repos/pear/issues", json={"title": "ripe"}).json()["issue"]
    address = f"/users/ann/repos/pear/issues/{issue['number']}"
    assert forge.get(address).json()["issue"] == issue
    assert forge.put(address, json={"title": "over", "state": "closed"}).json()["issue"]["state"] == "closed"
    assert forge.put(f"{address}/lock").status_code == 204
    assert forge.put("/users/ann/repos/pear/issues/999/lock").status_code == 404

    assert forge.delete("/users/ann/repos/pear").status_code == 204
    gone = forge.get(address)
    assert gone.status_code == 404
    assert gone.json()["error"]["message"] == "there is no pear in /users/ann/repos"  # in the document's own form


def test_patch_merges_and_null_removes_or_stays_null(forge: httpx2.Client) -> None:
    forge.post("/users/ann/repos", json={"name": "pear"})
    address = "/users/ann/repos/pear"
    before = forge.patch(address, json={"license": {"key": "mit", "url": "https://example.com/mit"}}).json()
    after = forge.patch(address, json={"homepage": None, "license": {"key": "bsd"}}).json()

    assert before["license"]["key"] == "mit"
    assert after["license"] == {**before["license"], "key": "bsd"}
    assert after["homepage"] is None
    assert forge.get(address).json() == after


def test_lists_come_in_pages_and_with_filters(forge: httpx2.Client) -> None:
    forge.post("/users/ann/repos", json={"name": "pear"})
    issues = "/users/ann/repos/pear/issues"
    for number in range(3):
        forge.post(issues, json={"title": f"issue {number}", "state": "closed" if number else "open"})
    everything = forge.get(issues).json()
    closed = forge.get(issues, params={"state": "closed", "limit": 1}).json()
    rest = forge.get(issues, params={"state": "closed", "limit": 50, "cursor": closed["next_cursor"]}).json()

    assert everything["total_count"] == len(everything["issues"]) >= 3
    assert (everything["has_more"], everything["next_cursor"]) == (False, None)
    assert (len(closed["issues"]), closed["has_more"]) == (1, True)
    assert {issue["state"] for issue in closed["issues"] + rest["issues"]} == {"closed"}
    assert len(rest["issues"]) == closed["total_count"] - 1
    first = forge.get("/users/ann/repos", params={"per_page": 1, "page": 1}).json()
    second = forge.get("/users/ann/repos", params={"per_page": 1, "page": 2}).json()
    assert len(first) == len(second) == 1
    assert first != second


def test_a_single_thing_is_set_and_read(forge: httpx2.Client) -> None:
    assert forge.put("/settings", json={"theme": "light", "rows": 33}).json() == {"theme": "light", "rows": 33}
    assert forge.get("/settings").json() == {"theme": "light", "rows": 33}


def test_examples_are_answered_first_and_by_name(forge: httpx2.Client, cook: httpx2.Client) -> None:
    orders = cook.get("/orders").json()

    assert [order["dish"] for order in orders["data"]] == ["soup", "fruit"]
    assert orders["meta"] == {"at": "2026-01-31T12:00:00Z"}
    assert cook.get("/orders/6f1c1f0e-0000-4000-8000-000000000002").json()["note"] == "cold"
    none = forge.get("/licenses/x", headers={"Prefer": "example=none"})
    assert none.json() == {"key": "none", "name": "No license"}
    assert forge.get("/licenses/x", headers={"Prefer": "example=gpl"}).status_code == 404
    assert forge.post("/markdown", content="hi", headers={"Content-Type": "text/plain"}).text == "<p>hello</p>"
    assert cook.get("/photo").content.startswith(b"\x89PNG")
    prepared = forge.get("/users/ann/repos/none", headers={"Prefer": "code=404"})
    assert (prepared.status_code, prepared.json()["error"].keys() >= {"type", "message"}) == (404, True)


def test_the_same_seed_gives_the_same_answers_and_another_gives_others(server: RunningServer) -> None:
    def first(seed: int) -> Any:
        base = server.stand(seed=seed).endpoint("petstore").base_url
        return httpx2.get(f"{base}/pet/1", headers=KEY, timeout=60).json()

    assert first(5) == first(5)
    assert first(5) != first(6)


def test_an_empty_world_begins_empty_and_worlds_and_resets_are_apart(server: RunningServer) -> None:
    empty, other = server.stand(kind="empty"), server.stand()
    base = empty.endpoint("petstore").base_url
    assert httpx2.get(f"{base}/pet/1", headers=KEY, timeout=60).status_code == 404
    created = httpx2.post(f"{base}/pet", json=PET, headers=KEY, timeout=60).json()
    assert created["id"] == 1
    assert httpx2.get(f"{other.endpoint('petstore').base_url}/pet/1", headers=KEY, timeout=60).json() != created

    empty.reset()
    assert httpx2.get(f"{base}/pet/1", headers=KEY, timeout=60).status_code == 404


def test_the_kernels_faults_limits_clock_and_journal_hold(stand: MockSession, pets: httpx2.Client) -> None:
    stand.clock.advance(3600)
    order = pets.post("/store/order", json={"petId": 1}).json()
    assert order["created_at"] == "2026-01-01T01:00:00Z"

    stand.faults.next_calls(1, "status", "getInventory", status=503, message="closed")
    closed = pets.get("/store/inventory")
    assert (closed.status_code, closed.json()["detail"]) == (503, "closed")
    stand.limits.set("petstore", 1, 60)
    assert [pets.get("/store/inventory").status_code for _ in range(2)] == [200, 429]

    assert stand.journal.verify(operation="placeOrder", body={"petId": 1}).verified
    assert stand.world.breaches == []


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "detail"),
    [
        ("POST", "/pet", {"json": {"photoUrls": []}}, 400, 'body.name: "name" is a required property'),
        ("POST", "/pet", {"json": {**PET, "weight": 0}}, 400, "body.weight: 0 is less than or equal to"),
        ("POST", "/pet", {"json": {**PET, "owner": "x" * 21}}, 400, "body.owner: "),
        ("POST", "/pet", {}, 400, "body: a body is required"),
        ("POST", "/pet", {"content": "{", "headers": {"Content-Type": "application/json"}}, 400, "Expecting"),
        ("POST", "/pet", {"content": "x", "headers": {"Content-Type": "text/csv"}}, 415, "text/csv is not taken"),
        ("POST", "/pet/1", {"data": {"name": "x"}}, 400, 'body.name: "x" is shorter than 2 characters'),
        ("GET", "/pet/rex", {}, 400, 'path.petId: "rex" is not of type "integer"'),
        ("GET", "/pet/findByStatus", {}, 400, 'query.status: "status" is a required property'),
        ("GET", "/pet/findByStatus?status=sold,lost", {}, 400, 'query.status.1: "lost" is not one of'),
        ("GET", "/nothing", {}, 404, "no operation has this path"),
        ("PATCH", "/pet", {}, 405, "the path has no operation with this method"),
        ("GET", "/pet/1", {"headers": {"Accept": "text/csv"}}, 406, "text/csv is not offered; there are "),
        ("GET", "/pet/1", {"headers": {"Authorization": ""}}, 401, "the credential is missing: send header "),
    ],
)  # fmt: skip
def test_a_wrong_call_gets_a_clear_error(
    pets: httpx2.Client, method: str, path: str, options: dict[str, Any], status: int, detail: str
) -> None:
    answer = pets.request(method, path, **options)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert detail in answer.json()["detail"]


def test_an_error_has_the_documents_form_where_it_has_one(pets: httpx2.Client, cook: httpx2.Client) -> None:
    wrong = pets.post("/store/order", json={"petId": "one"})
    assert wrong.status_code == 400
    assert wrong.json()["code"] == 400
    assert 'body.petId: "one" is not of type "integer"' in wrong.json()["message"]

    urgency = {"X-Urgency": "9"}
    invalid = cook.post("/orders", json={"dish": "soup", "extra": 1}, headers=urgency)
    assert (invalid.status_code, invalid.headers["content-type"]) == (422, "application/problem+json")
    assert invalid.json()["detail"].startswith(
        "header.x-urgency: 9 is greater than the maximum of 3; body: Unevaluated"
    )


def test_the_journal_hides_a_key_whatever_its_header_is_called(stand: MockSession, cook: httpx2.Client) -> None:
    cook.get("/menu", headers={"X-Kitchen": "spoon-2026", "X-Note": "not spoon-2026 again"})

    (call,) = stand.journal.find(operation="get_menu")
    assert (call.status, call.headers["x-note"]) == (200, "not [redacted] again")
    assert "spoon-2026" not in str(call.dump())


def test_objects_and_lists_in_the_query_are_read_by_their_style(forge: httpx2.Client) -> None:
    forge.post("/users/ann/repos", json={"name": "pear"})
    issues = "/users/ann/repos/pear/issues"

    assert forge.get(f"{issues}?labels=a|b&filter[author]=ann&filter[votes]=3").status_code == 200
    wrong = forge.get(f"{issues}?filter[votes]=many")
    assert 'query.filter.votes: "many" is not of type "integer"' in wrong.json()["detail"]


def test_the_path_of_the_documents_server_may_be_sent_too(pets: httpx2.Client, cook: httpx2.Client) -> None:
    assert pets.get("/v2/store/inventory").status_code == 200
    assert cook.get("/api/v1/menu").headers["content-type"] == "application/vnd.kitchen+json"


def test_the_services_own_address_reaches_it_through_the_proxy() -> None:
    with (
        bananastand_mocks.start("falai", openapi=[DOCUMENTS / "petstore.yaml"], proxy=True) as server,
        httpx2.Client(proxy=server.environment["HTTP_PROXY"], trust_env=False, timeout=60) as http,
    ):
        assert http.get("http://shop.example.com/v2/store/inventory").status_code == 200


def test_the_document_and_its_page_are_served(pets: httpx2.Client, stand: MockSession) -> None:
    assert pets.get("/openapi.json").json()["paths"].keys() >= {"/pet", "/pet/{petId}", "/store/inventory"}
    assert "findPetsByStatus" in pets.get("/docs").text


def test_a_page_far_beyond_the_end_is_empty(forge: httpx2.Client) -> None:
    page = {"page": "9" * 26, "per_page": 10}
    assert (
        forge.get("/users/ann/repos", params=page).status_code,
        forge.get("/users/ann/repos", params=page).json(),
    ) == (200, [])
