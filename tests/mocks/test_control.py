"""The control plane over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bananastand_mocks.server import Server
from tinymock import Response, ask

TOKEN = "at_r0123456789abcdef0123456789abcdef"
LOCAL = {"host": "127.0.0.1:8750"}


@pytest.fixture
def server() -> Server:
    return Server(virtual=True, seed=1, strict=True)


def call(server: Any, method: str, target: str, body: Any = None, **headers: str) -> Response:
    return asyncio.run(ask(server, method, target, body, key=None, headers={**LOCAL, **headers}))


def test_a_world_is_created_used_and_deleted(server: Server) -> None:
    created = call(server, "POST", "/_stand/worlds", {"name": "mine", "seed": 5})
    token = created.json()["credentials"]["lowcodeapi"][0]
    used = call(server, "GET", f"/w/mine/lowcodeapi/bananadev/v1/models?api_token={token}")
    foreign = call(server, "GET", f"/w/mine/lowcodeapi/bananadev/v1/models?api_token={TOKEN}")
    described = call(server, "GET", "/_stand/worlds/mine").json()
    deleted = call(server, "DELETE", "/_stand/worlds/mine")

    assert (created.status, used.status, foreign.status, deleted.status) == (201, 200, 403, 204)
    assert (described["seed"], described["calls"], described["prefix"]) == (5, 2, "/w/mine")
    assert call(server, "GET", "/w/mine/banana/v1/projects").status == 404
    assert call(server, "GET", "/_stand/worlds/mine").json() == {"detail": "there is no world mine"}
    assert call(server, "DELETE", "/_stand/worlds/default").status == 409
    assert call(server, "POST", "/_stand/worlds", {"name": "../etc"}).status == 422


def test_clock_tasks_faults_and_limits_are_set(server: Server) -> None:
    world = "/_stand/worlds/default"
    models = f"/lowcodeapi/bananadev/v1/models?api_token={TOKEN}"
    call(server, "POST", f"/lowcodeapi/bananadev/v1/deploy?api_token={TOKEN}", {"modelKey": "new", "source": "x"})

    assert call(server, "POST", f"{world}/clock", {"advance": 60}).json()["ran"] == 3
    assert call(server, "POST", f"{world}/clock", {"advance": -1}).status == 422
    assert call(server, "PUT", f"{world}/tasks", {"mode": "after_polls", "polls": 2}).json()["polls"] == 2
    assert call(server, "POST", f"{world}/faults", {"kind": "status", "status": 429, "last": 1}).status == 201
    assert call(server, "POST", f"{world}/faults", {"kind": "status", "status": 200}).status == 422
    assert [call(server, "GET", models).status for _ in range(2)] == [429, 200]
    assert call(server, "GET", f"{world}/faults").json()["faults"][0]["struck"] == 1
    assert call(server, "DELETE", f"{world}/faults").status == 204
    call(server, "PUT", f"{world}/limits/bananadev", {"calls": 0, "seconds": 60})
    assert call(server, "GET", models).status == 429
    call(server, "DELETE", f"{world}/limits/bananadev")
    assert call(server, "GET", models).status == 200


def test_a_world_whose_clock_moves_with_every_call(server: Server) -> None:
    created = call(server, "POST", "/_stand/worlds", {"name": "polled", "step": 5})
    token = created.json()["credentials"]["lowcodeapi"][0]
    begun = created.json()["clock"]["now"]
    call(server, "GET", f"/w/polled/lowcodeapi/bananadev/v1/models?api_token={token}")

    assert call(server, "GET", "/_stand/worlds/polled").json()["clock"]["now"] == begun + 5
    call(server, "POST", "/_stand/worlds/polled/reset")
    assert call(server, "GET", "/_stand/worlds/polled").json()["clock"]["step"] == 5
    assert call(server, "PUT", "/_stand/worlds/polled/clock", {"step": 0}).json()["step"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/_stand/worlds", 201),
        ("POST", "/_stand/worlds/default/reset", 200),
        ("PUT", "/_stand/worlds/default/tasks", 200),
        ("POST", "/_stand/worlds/default/journal/verify", 200),
    ],
)
def test_a_body_without_a_required_value_may_be_left_out(server: Server, method: str, path: str, status: int) -> None:
    assert call(server, method, path).status == status
    assert call(server, method, path, {}).status == status


def test_the_journal_is_read_verified_and_cleared(server: Server) -> None:
    world = "/_stand/worlds/default"
    call(server, "GET", f"/lowcodeapi/bananadev/v1/models/value?api_token={TOKEN}")

    calls = call(server, "GET", f"{world}/journal?operation=get_model").json()["calls"]
    verdict = call(server, "POST", f"{world}/journal/verify", {"expected": {"path": "/v1/models/VALUE"}}).json()

    assert [entry["path"] for entry in calls] == ["/v1/models/value"]
    assert calls[0]["query"] == {"api_token": "[redacted]"}
    assert verdict["verified"] is False
    assert verdict["near_misses"][0]["differences"] == [
        {"field": "path", "expected": "/v1/models/VALUE", "got": "/v1/models/value"}
    ]
    assert call(server, "POST", f"{world}/journal/verify", {"expected": {"colour": 1}}).status == 422
    assert call(server, "DELETE", f"{world}/journal").status == 204
    assert call(server, "GET", f"{world}/journal").json() == {"calls": []}


def test_a_world_is_exported_reset_and_imported(server: Server) -> None:
    world = "/_stand/worlds/default"
    call(server, "POST", f"/lowcodeapi/bananadev/v1/deploy?api_token={TOKEN}", {"modelKey": "new", "source": "x"})
    exported = call(server, "GET", f"{world}/export").json()
    call(server, "POST", f"{world}/reset", {"kind": "empty"})
    assert server.worlds.default.table("bananadev.models") == {}

    assert call(server, "POST", f"{world}/import", exported).status == 200
    assert list(server.worlds.default.table("bananadev.models")) == ["value", "stable-diffusion", "new"]
    assert call(server, "POST", f"{world}/import", {"version": 7}).status == 422


def test_existing_settings_can_be_changed(server: Server) -> None:
    world = "/_stand/worlds/default"

    assert call(server, "PATCH", f"{world}/settings", {"bananadev.hold_seconds": 0}).status == 200
    assert server.worlds.default.settings["bananadev.hold_seconds"] == 0
    assert "no setting colour" in call(server, "PATCH", f"{world}/settings", {"colour": 1}).json()["detail"]


def test_coverage_comes_as_json_and_as_a_table(server: Server) -> None:
    call(server, "GET", f"/lowcodeapi/bananadev/v1/account?api_token={TOKEN}")
    world = "/_stand/worlds/default"

    rows = call(server, "GET", f"{world}/coverage").json()["operations"]
    table = call(server, "GET", f"{world}/coverage.txt").content.decode()

    assert [row["operation"] for row in rows if row["calls"]] == ["get_account"]
    assert "bananadev      get_account             1  200:1\n" in table
    assert table.endswith(f"1 of {len(rows)} operations called\n")
    assert call(server, "DELETE", f"{world}/coverage").status == 204


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "[::1", "10.0.0.1:8750", ""])
def test_other_hosts_are_refused(server: Server, host: str) -> None:
    assert call(server, "GET", "/_stand/worlds", host=host).status == 403


def test_pages_of_other_sites_are_refused_without_cors_headers(server: Server) -> None:
    foreign = call(server, "POST", "/_stand/worlds", {}, origin="http://evil.test")
    preflight = {"origin": "http://evil.test", "access-control-request-method": "POST"}
    preflighted = call(server, "OPTIONS", "/_stand/worlds", **preflight)
    own = call(server, "GET", "/_stand/worlds", origin="http://127.0.0.1:8750")

    assert (foreign.status, preflighted.status, own.status) == (403, 403, 200)
    assert not [name for answer in (foreign, preflighted, own) for name in answer.headers if name.startswith("access-")]


def test_configured_host_is_served() -> None:
    assert call(Server(hosts=["stand.test"]), "GET", "/_stand/health", host="stand.test:1").json() == {"status": "ok"}


def test_the_pages_list_providers_operations_and_routes(server: Server) -> None:
    index = call(server, "GET", "/").content.decode()
    reference = call(server, "GET", "/_stand/").content.decode()

    for mount in ("/lowcodeapi/bananadev", "/lowcodeapi/falai", "/banana", "/fal"):
        assert f'<code class="line">{mount}</code>' in index
        assert call(server, "GET", f"{mount}/openapi.json").json()["openapi"] == "3.1.0"
    for provider in ("bananadev", "falai", "banana-native", "fal-native"):
        page = call(server, "GET", f"/_stand/contracts/{provider}")
        assert f"/_stand/contracts/{provider}" in index
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        contract = next(served for served in server.providers.values() if served.name == provider).contract
        assert [name for name in contract.by_id if f'<h2 id="{name}">' not in page.content.decode()] == []
    assert TOKEN in index
    assert "POST /_stand/worlds/{name}/clock" in reference
