"""The control plane's pages over HTTP: what a form does, and what a wrong one says."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import pytest

from bananastand_mocks.kernel.world import World
from bananastand_mocks.server import Server
from tinymock import Response, ask

TOKEN = "at_r0123456789abcdef0123456789abcdef"
PAGES = "/_stand/pages"
HERE = f"{PAGES}/default"
FORM = {"host": "127.0.0.1:8750", "content-type": "application/x-www-form-urlencoded"}
MODELS = f"/lowcodeapi/falai/v1/models?api_token={TOKEN}"


@pytest.fixture
def server() -> Server:
    return Server(virtual=True, seed=1, strict=True)


def call(server: Any, method: str, target: str, body: Any = None, **headers: str) -> Response:
    return asyncio.run(ask(server, method, target, body, key=None, headers={"host": FORM["host"], **headers}))


def send(server: Server, path: str, fields: dict[str, Any] | bytes, **headers: str) -> Response:
    raw = fields if isinstance(fields, bytes) else urlencode(fields).encode()
    return asyncio.run(ask(server, "POST", path, raw, key=None, headers={**FORM, **headers}))


def read(server: Server, path: str) -> str:
    page = call(server, "GET", path)
    assert page.status == 200
    return page.content.decode()


def fault_of(world: World) -> dict[str, Any]:
    (fault,) = world.faults.dump()
    return fault


@pytest.mark.parametrize(
    ("path", "fields", "section", "changed"),
    [
        ("clock", {"advance": "90.5"}, "#clock", lambda world: world.clock.now() == 1_767_225_690.5),
        ("step", {"step": "5"}, "#clock", lambda world: world.clock.step == 5),
        ("reset", {"kind": "empty"}, "", lambda world: world.kind == "empty"),
        ("limits", {"provider": "falai", "calls": "3", "seconds": "60"}, "#limits",
         lambda world: world.limits.dump()["rules"]["falai"] == {"calls": 3, "seconds": 60.0}),
        ("limits/gobananas/remove", {}, "#limits", lambda world: world.limits.dump()["rules"] == {}),
        ("faults", {"kind": "latency", "seconds": "0.5", "last": "", "status": "500"}, "#faults",
         lambda world: (fault_of(world)["seconds"], fault_of(world)["last"]) == (0.5, None)),
        ("faults", {"kind": "status", "status": "503", "last": "2", "headers": "Retry-After: 3\r\nX-A: b:c\r\n",
                    "body": '{"a": 1}'}, "#faults",
         lambda world: (fault_of(world)["headers"], fault_of(world)["body"])
         == ({"retry-after": "3", "x-a": "b:c"}, {"a": 1})),
        ("faults/clear", {}, "#faults", lambda world: len(world.faults) == 0),
        ("journal/clear", {}, "/journal", lambda world: len(world.journal) == 0),
    ],
)  # fmt: skip
def test_a_form_changes_the_world_and_leads_back(
    server: Server, path: str, fields: dict[str, str], section: str, changed: Any
) -> None:
    call(server, "GET", MODELS)

    answer = send(server, f"{HERE}/{path}", fields)

    assert (answer.status, answer.headers["location"]) == (303, f"{HERE}{section}")
    assert changed(server.worlds.default)


def test_a_stub_is_added_by_form_used_and_removed(server: Server) -> None:
    fields = {"provider": "falai", "operation": "list_models", "method": "GET", "path": "", "contains": "",
              "times": "2", "json_path": "", "json_value": "", "status": "503", "delay": "0",
              "headers": "Retry-After: 3", "body": "<b>down</b>"}  # fmt: skip
    assert send(server, f"{HERE}/stubs", fields).status == 303
    answer = call(server, "GET", MODELS)
    page = read(server, HERE)

    assert (answer.status, answer.content, answer.headers["retry-after"]) == (503, b"<b>down</b>", "3")
    assert "It was called 1 of 2 times." in page
    assert "&lt;b&gt;down&lt;/b&gt;" in page
    assert "<b>down</b>" not in page
    assert send(server, f"{HERE}/stubs/1/remove", {}).status == 303
    assert "the mock answers every call" in read(server, HERE)


def test_a_stub_by_json_path_shows_its_near_misses(server: Server) -> None:
    fields = {"json_path": "$.modelInputs.prompt", "json_value": "a cherry", "status": "418", "body": '{"a": 1}'}
    send(server, f"{HERE}/stubs", fields)
    run = {"modelKey": "value", "modelInputs": {"prompt": "a banana", "width": 64, "height": 64}, "startOnly": True}
    call(server, "POST", f"/lowcodeapi/bananadev/v1/start?api_token={TOKEN}", run)

    page = read(server, HERE)

    assert "body_paths.$.modelInputs.prompt" in page
    assert "a cherry" in page
    assert "a banana" in page
    run["modelInputs"] = {"prompt": "a cherry"}
    answer = call(server, "POST", f"/lowcodeapi/bananadev/v1/start?api_token={TOKEN}", run)
    assert (answer.status, answer.json()) == (418, {"a": 1})


@pytest.mark.parametrize(
    ("path", "fields", "field"),
    [
        (f"{HERE}/clock", {"advance": "soon"}, "advance"),
        (f"{HERE}/clock", {}, "advance"),
        (f"{HERE}/step", {"step": "-1"}, "step"),
        (f"{HERE}/reset", {"kind": "jungle"}, "kind"),
        (f"{HERE}/faults", {"kind": "meteor"}, "kind"),
        (f"{HERE}/faults", {"kind": "status", "status": "200"}, "status"),
        (f"{HERE}/faults", {"kind": "status", "headers": "no colon"}, "headers"),
        (f"{HERE}/faults", {"kind": "reset", "operation": "no_such"}, "operation"),
        (f"{HERE}/stubs", {"operation": "no_such"}, "operation"),
        (f"{HERE}/stubs", {"status": "99"}, "status"),
        (f"{HERE}/stubs", {"json_path": "$["}, "body_paths"),
        (f"{HERE}/stubs", {"headers": "A: \u20ac"}, "headers"),
        (f"{HERE}/limits", {"provider": "falai", "calls": "-1", "seconds": "1"}, "calls"),
        (PAGES, {"name": "../etc"}, "name"),
        (PAGES, {"name": "other"}, "other"),
        (f"{HERE}/clock", b"&".join(b"a=1" for _ in range(60)), "form"),
        (f"{HERE}/stubs", b"body=" + b"a" * 2**20, "form"),
    ],
)  # fmt: skip
def test_a_wrong_form_is_shown_again_with_the_reason(
    server: Server, path: str, fields: dict[str, Any] | bytes, field: str
) -> None:
    before = server.worlds.default.dump()
    answer = send(server, path, fields)
    page = answer.content.decode()

    assert answer.status == 422
    assert field in page.partition('role="alert">')[2].partition("</p>")[0]
    assert server.worlds.default.dump() == before


def test_a_refused_form_keeps_what_was_typed(server: Server) -> None:
    page = send(server, f"{HERE}/stubs", {"status": "99", "body": '"<i>'}).content.decode()

    assert "<details open><summary>Add a stub" in page
    assert ">&#34;&lt;i&gt;</textarea>" in page


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{PAGES}/nobody"),
        ("GET", f"{PAGES}/nobody/journal"),
        ("GET", f"{HERE}/journal/99"),
        ("POST", f"{HERE}/explode"),
        ("POST", f"{HERE}/stubs/7/remove"),
        ("POST", f"{HERE}/stubs/x/remove"),
        ("POST", f"{HERE}/limits/nobody/remove"),
        ("POST", f"{PAGES}/nobody/clock"),
    ],
)
def test_what_is_not_there_is_404(server: Server, method: str, path: str) -> None:
    assert call(server, method, path, **FORM).status == 404


def test_a_form_of_another_site_is_refused(server: Server) -> None:
    assert send(server, f"{HERE}/reset", {}, origin="http://evil.test").status == 403
    assert send(server, f"{HERE}/reset", {}, origin="http://127.0.0.1:8750").status == 303


def test_the_journal_is_filtered_and_names_near_misses(server: Server) -> None:
    for _ in range(60):
        call(server, "GET", f"/lowcodeapi/bananadev/v1/models/value?api_token={TOKEN}")
    call(server, "GET", "/lowcodeapi/bananadev/<script>")

    first, second = read(server, f"{HERE}/journal"), read(server, f"{HERE}/journal?page=2")
    missed = read(server, f"{HERE}/journal?operation=get_model&status=404")

    assert "61 calls, newest first" in first
    assert "&lt;script&gt;" in first
    assert "<script>" not in first
    assert f'href="{HERE}/journal/1"' not in first
    assert f'href="{HERE}/journal/1"' in second
    assert "1 call, newest first" in read(server, f"{HERE}/journal?status=404")
    assert "No call matches" in missed
    assert "expected <code>404</code>, got <code>200</code>" in missed
    assert TOKEN not in read(server, f"{HERE}/journal/1")
    for odd in ("page=0", "page=-1", "page=x", "status=x", "page=99999999999"):
        assert read(server, f"{HERE}/journal?{odd}")


def test_the_pages_may_load_nothing_but_their_own(server: Server) -> None:
    for path in ("/", HERE, f"{HERE}/journal", "/_stand/"):
        headers = call(server, "GET", path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert headers["content-type"] == "text/html; charset=utf-8"
    assert call(server, "GET", f"{PAGES}/style.css").headers["content-type"] == "text/css; charset=utf-8"


def test_a_world_is_created_on_the_first_page(server: Server) -> None:
    answer = send(server, PAGES, {"name": "mine", "kind": "empty", "time": "real"})

    assert answer.headers["location"] == f"{PAGES}/mine"
    assert f'href="{PAGES}/mine"' in read(server, "/")
    assert "real, 1 times" in read(server, f"{PAGES}/mine")


def test_a_deleted_world_leads_back_to_the_overview_with_the_reason(server: Server) -> None:
    answer = call(server, "GET", f"{PAGES}/nobody<b>")
    page = answer.content.decode()

    assert answer.status == 404
    assert "there is no world nobody&lt;b&gt;" in page.partition('role="alert">')[2].partition("</p>")[0]
    assert 'href="/_stand/pages/default"' in page
    assert call(server, "GET", "/_stand/worlds/nobody").json() == {"detail": "there is no world nobody"}


def test_a_stub_with_a_large_body_is_cut_off_on_the_page(server: Server) -> None:
    send(server, f"{HERE}/stubs", {"body": "pear" * 100_000})

    assert len(read(server, HERE)) < 60_000
