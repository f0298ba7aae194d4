"""Whatever is sent to the control plane, a wrong one is a 4xx in JSON that names the field, and never a 500."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bananastand_mocks.kernel.control.guard import ControlGuard
from bananastand_mocks.server import Server
from tinymock import Response, ask

LOCAL = {"host": "127.0.0.1:8750"}
WORLD = "/_stand/worlds/default"
TOKEN = "at_r0123456789abcdef0123456789abcdef"
RUN = {"modelKey": "value", "modelInputs": {"prompt": "x", "width": 64, "height": 64}}
HUGE = 10**400


@pytest.fixture(scope="module")
def shared() -> Server:
    return Server(virtual=True, seed=1)


@pytest.fixture
def server() -> Server:
    return Server(virtual=True, seed=1, strict=True)


def call(
    server: Any, method: str, target: str, body: Any = None, chunks: list[bytes] | None = None, **headers: str
) -> Response:
    return asyncio.run(ask(server, method, target, body, chunks=chunks, key=None, headers={**LOCAL, **headers}))


def detail(answer: Response) -> str:
    assert answer.headers["content-type"] == "application/json"
    assert 400 <= answer.status < 500
    message = answer.json()["detail"]
    assert isinstance(message, str)
    return message


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/_stand/worlds", {"kind": "jungle"}, "kind"),
        ("POST", "/_stand/worlds", {"seed": "1"}, "seed"),
        ("POST", "/_stand/worlds", {"seed": 1.5}, "seed"),
        ("POST", "/_stand/worlds", {"speed": 0}, "speed"),
        ("POST", "/_stand/worlds", {"speed": 1e300}, "speed"),
        ("POST", "/_stand/worlds", {"time": "soon"}, "time"),
        ("POST", "/_stand/worlds", {"name": ".."}, "name"),
        ("POST", "/_stand/worlds", {"name": "a/b"}, "name"),
        ("POST", "/_stand/worlds", {"colour": 1}, "colour"),
        ("POST", "/_stand/worlds", [], "body"),
        ("POST", "/_stand/worlds", {"step": -1}, "step"),
        ("POST", f"{WORLD}/reset", {"kind": 1}, "kind"),
        ("POST", f"{WORLD}/clock", {"advance": "60"}, "advance"),
        ("POST", f"{WORLD}/clock", {"advance": -1}, "advance"),
        ("POST", f"{WORLD}/clock", {"advance": True}, "advance"),
        ("POST", f"{WORLD}/clock", {"advance": 1e99}, "advance"),
        ("POST", f"{WORLD}/clock", {"advance": HUGE}, "advance"),
        ("POST", f"{WORLD}/clock", {}, "advance"),
        ("POST", f"{WORLD}/clock", None, "body"),
        ("PUT", f"{WORLD}/clock", {"step": "5"}, "step"),
        ("PUT", f"{WORLD}/clock", {"step": -1}, "step"),
        ("PUT", f"{WORLD}/clock", {}, "step"),
        ("PUT", f"{WORLD}/tasks", {"mode": "later"}, "mode"),
        ("PUT", f"{WORLD}/tasks", {"polls": -1}, "polls"),
        ("PUT", f"{WORLD}/tasks", {"polls": 1.5}, "polls"),
        ("PUT", f"{WORLD}/tasks", {"seconds": 1e300}, "seconds"),
        ("PUT", f"{WORLD}/tasks", {"failures": "1"}, "failures"),
        ("POST", f"{WORLD}/faults", {}, "kind"),
        ("POST", f"{WORLD}/faults", {"kind": "meteor"}, "kind"),
        ("POST", f"{WORLD}/faults", {"kind": "reset", "first": 0}, "first"),
        ("POST", f"{WORLD}/faults", {"kind": "reset", "first": 3, "last": 2}, "last"),
        ("POST", f"{WORLD}/faults", {"kind": "status", "status": 200}, "status"),
        ("POST", f"{WORLD}/faults", {"kind": "status", "status": "503"}, "status"),
        ("POST", f"{WORLD}/faults", {"kind": "latency", "seconds": 601}, "seconds"),
        ("POST", f"{WORLD}/faults", {"kind": "reset", "probability": 2}, "probability"),
        ("POST", f"{WORLD}/faults", {"kind": "reset", "operation": "no_such"}, "operation"),
        ("POST", f"{WORLD}/faults", {"kind": "status", "headers": {"A B": "x"}}, "headers.A B"),
        ("POST", f"{WORLD}/faults", {"kind": "status", "headers": {"X": "a\r\nb"}}, "headers.X"),
        ("POST", f"{WORLD}/faults", {"kind": "status", "headers": {"Content-Length": "3"}}, "headers.Content-Length"),
        ("POST", f"{WORLD}/stubs", {"responses": [{"headers": {"Date": "x"}}]}, "headers.Date"),
        ("POST", f"{WORLD}/faults", {"kind": "reset", "headers": {"Retry-After": "3"}}, "headers"),
        ("POST", f"{WORLD}/faults", {"kind": "latency", "body": {}}, "body"),
        ("POST", f"{WORLD}/stubs", [], "body"),
        ("POST", f"{WORLD}/stubs", {"colour": 1}, "colour"),
        ("POST", f"{WORLD}/stubs", {"times": 0}, "times"),
        ("POST", f"{WORLD}/stubs", {"request": {"operation": "no_such"}}, "request.operation"),
        ("POST", f"{WORLD}/stubs", {"request": {"provider": "nobody"}}, "request.provider"),
        ("POST", f"{WORLD}/stubs", {"request": {"provider": "falai", "operation": "start_run"}}, "request.operation"),
        ("POST", f"{WORLD}/stubs", {"request": {"method": "G T"}}, "request.method"),
        ("POST", f"{WORLD}/stubs", {"request": {"path": {}}}, "request.path"),
        ("POST", f"{WORLD}/stubs", {"request": {"path": {"matches": "("}}}, "request.path"),
        ("POST", f"{WORLD}/stubs", {"request": {"query": {"limit": {"matches": "(?=2)"}}}}, "request.query.limit"),
        ("POST", f"{WORLD}/stubs", {"request": {"headers": {"a": {"likes": "b"}}}}, "request.headers.a.likes"),
        ("POST", f"{WORLD}/stubs", {"request": {"body_paths": {"a.b": 1}}}, "body_paths: a.b"),
        ("POST", f"{WORLD}/stubs", {"request": {"body_paths": {"$[?match(@.a, 'b')]": 1}}}, "body_paths"),
        ("POST", f"{WORLD}/stubs", {"request": {"body_paths": {"$" + "[?@.x" * 200: 1}}}, "body_paths"),
        ("POST", f"{WORLD}/stubs", {"responses": [{"status": 99}]}, "responses.0.status"),
        ("POST", f"{WORLD}/stubs", {"responses": [{"status": 600}]}, "responses.0.status"),
        ("POST", f"{WORLD}/stubs", {"responses": [{"json": 1, "text": "a"}]}, "text"),
        ("POST", f"{WORLD}/stubs", {"responses": [{"status": 204, "json": None}]}, "json"),
        ("POST", f"{WORLD}/stubs", {"responses": [{"base64": "%"}]}, "base64"),
        ("POST", f"{WORLD}/stubs", {"responses": [{"delay": 601}]}, "responses.0.delay"),
        ("POST", f"{WORLD}/stubs", {"responses": [{"headers": {"X": "\u20ac"}}]}, "headers.X"),
        ("GET", f"{WORLD}/stubs/7", None, "7"),
        ("GET", f"{WORLD}/stubs/one", None, "stub"),
        ("DELETE", f"{WORLD}/stubs/7", None, "7"),
        ("GET", f"{WORLD}/stubs?unused=perhaps", None, "unused"),
        ("PUT", f"{WORLD}/limits/bananadev", {"calls": -1, "seconds": 1}, "calls"),
        ("PUT", f"{WORLD}/limits/bananadev", {"calls": 1, "seconds": 0}, "seconds"),
        ("PUT", f"{WORLD}/limits/bananadev", {"calls": "1", "seconds": 1}, "calls"),
        ("PUT", f"{WORLD}/limits/bananadev", {"calls": 1}, "seconds"),
        ("PUT", f"{WORLD}/limits/nobody", {"calls": 1, "seconds": 1}, "nobody"),
        ("DELETE", f"{WORLD}/limits/nobody", None, "nobody"),
        ("PATCH", f"{WORLD}/settings", {"bananadev.hold_seconds": "5"}, "bananadev.hold_seconds"),
        ("PATCH", f"{WORLD}/settings", {"bananadev.hold_seconds": -1}, "bananadev.hold_seconds"),
        ("PATCH", f"{WORLD}/settings", {"bananadev.hold_seconds": 1e300}, "bananadev.hold_seconds"),
        ("PATCH", f"{WORLD}/settings", {"bananadev.hold_seconds": True}, "bananadev.hold_seconds"),
        ("PATCH", f"{WORLD}/settings", {"bananadev.hold_seconds": None}, "bananadev.hold_seconds"),
        ("PATCH", f"{WORLD}/settings", {"bananadev.build_seconds": [1, 2]}, "bananadev.build_seconds"),
        ("PATCH", f"{WORLD}/settings", {"bananadev.build_seconds": ["1", 2, 3]}, "bananadev.build_seconds"),
        ("PATCH", f"{WORLD}/settings", {"bananadev.build_seconds": 5}, "bananadev.build_seconds"),
        ("PATCH", f"{WORLD}/settings", {"bananadev.routes": [1]}, "bananadev.routes"),
        ("PATCH", f"{WORLD}/settings", {"bananadev.busy": "no"}, "bananadev.busy"),
        ("PATCH", f"{WORLD}/settings", {"lowcodeapi.strict_urls": 1}, "lowcodeapi.strict_urls"),
        ("PATCH", f"{WORLD}/settings", {"bananadev.colour": 1}, "bananadev.colour"),
        ("PATCH", f"{WORLD}/settings", [], "body"),
        ("POST", f"{WORLD}/journal/verify", {"exactly": "1"}, "exactly"),
        ("POST", f"{WORLD}/journal/verify", {"at_least": -1}, "at_least"),
        ("POST", f"{WORLD}/journal/verify", {"expected": []}, "expected"),
        ("POST", f"{WORLD}/journal/verify", {"expected": {"colour": 1}}, "colour"),
        ("POST", f"{WORLD}/journal/verify", {"expected": {"exactly": 1}}, "exactly"),
        ("GET", f"{WORLD}/journal?status=ok", None, "status"),
        ("GET", f"{WORLD}/journal?colour=1", None, "colour"),
        ("GET", "/_stand/worlds/nobody", None, "nobody"),
        ("GET", "/_stand/contracts/nobody", None, "nobody"),
        ("GET", "/_stand/worlds/nobody/journal", None, "nobody"),
        ("POST", "/_stand/worlds/nobody/clock", {"advance": 1}, "nobody"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_a_4xx_that_names_its_field(
    shared: Server, method: str, path: str, body: Any, field: str
) -> None:
    before = shared.worlds.default.dump()
    assert field in detail(call(shared, method, path, body))
    assert shared.worlds.default.dump() == before


def test_providers_still_answer_after_refused_settings(server: Server) -> None:
    for wrong in ({"bananadev.hold_seconds": "5"}, {"bananadev.routes": [1]}, {"bananadev.build_seconds": [1]}):
        detail(call(server, "PATCH", f"{WORLD}/settings", wrong))
    assert call(server, "POST", f"/lowcodeapi/bananadev/v1/run?api_token={TOKEN}", RUN).status == 200


@pytest.mark.parametrize(
    "raw",
    [b"{", b"\xff", b'{"advance": NaN}', b'{"advance": Infinity}', b'{"advance": 1e999}', b'{"a": "\\ud800"}',
     b"[" * 5000 + b"]" * 5000, b'{"expected": ' + b'{"a": ' * 200 + b"1" + b"}" * 201],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/_stand/worlds", f"{WORLD}/clock", f"{WORLD}/import", f"{WORLD}/journal/verify"])
def test_a_body_that_is_not_json_or_too_deep_is_400(shared: Server, path: str, raw: bytes) -> None:
    answer = call(shared, "POST", path, raw)

    assert (answer.status, "body" in detail(answer)) == (400, True)


def test_a_body_that_is_too_long_is_refused_while_it_arrives() -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the control plane is not called")

    answer = call(ControlGuard(never, max_body=1000), "POST", "/", chunks=[b" " * 600] * 3)

    assert (answer.status, "longer than 1000 bytes" in detail(answer)) == (413, True)


@pytest.mark.parametrize("origin", ["http://[::1", "null", "file://", "http://127.0.0.1:8750.evil.test", "\x80"])
def test_an_origin_that_cannot_be_read_is_refused(shared: Server, origin: str) -> None:
    assert "Origin" in detail(call(shared, "POST", "/_stand/worlds", {}, origin=origin))


def test_unknown_addresses_and_methods_are_json_too(server: Server) -> None:
    assert (call(server, "GET", "/_stand/nothing").status, call(server, "PUT", "/_stand/worlds").status) == (404, 405)
    detail(call(server, "GET", "/_stand/nothing"))
    detail(call(server, "PUT", "/_stand/worlds", {}))


def test_the_clock_ends_with_the_calendar(server: Server) -> None:
    century = 100 * 365 * 86400
    seen = [call(server, "POST", f"{WORLD}/clock", {"advance": century}).status for _ in range(90)]

    assert (seen[0], seen[-1]) == (200, 422)
    assert call(server, "POST", f"/lowcodeapi/bananadev/v1/run?api_token={TOKEN}", RUN).status == 200
    assert call(server, "GET", f"/lowcodeapi/falai/v1/usage?api_token={TOKEN}").status == 200


EXPORTED = Server(virtual=True, seed=1).worlds.default.dump()
WRONG = [None, True, -1, 10**30, "x", [1], {}, {"a": {"b": 1}}, [{}]]


@pytest.mark.parametrize("field", [*EXPORTED, "clock.now", "clock.virtual", "clock.speed", "clock.pending"])
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_damaged_import_is_refused_and_the_world_still_works(shared: Server, field: str, wrong: Any) -> None:
    world = shared.worlds.create("mine", seed=1)
    before = world.dump()
    state = json.loads(json.dumps(before))
    owner, _, name = field.rpartition(".")
    (state[owner] if owner else state)[name] = wrong

    answer = call(shared, "POST", "/_stand/worlds/mine/import", state)

    if answer.status != 200:
        assert (answer.status, name in detail(answer)) == (422, True)
        assert world.dump() == before
    assert call(shared, "POST", "/_stand/worlds/mine/clock", {"advance": 60}).status == 200
    assert call(shared, "GET", "/_stand/worlds/mine/export").status == 200
    assert call(shared, "POST", "/_stand/worlds/mine/reset", {}).status == 200
    token = world.issued["lowcodeapi"][0] if "lowcodeapi" in world.issued else "at_none"
    assert call(shared, "POST", f"/w/mine/lowcodeapi/bananadev/v1/run?api_token={token}", RUN).status in (200, 403)
    assert world.breaches == []
    shared.worlds.remove(world)


ROUTES = [
    ("POST", "/_stand/worlds"),
    ("POST", f"{WORLD}/reset"),
    ("POST", f"{WORLD}/import"),
    ("PATCH", f"{WORLD}/settings"),
    ("POST", f"{WORLD}/clock"),
    ("PUT", f"{WORLD}/clock"),
    ("PUT", f"{WORLD}/tasks"),
    ("POST", f"{WORLD}/stubs"),
    ("GET", f"{WORLD}/stubs"),
    ("DELETE", f"{WORLD}/stubs"),
    ("GET", f"{WORLD}/stubs/1"),
    ("DELETE", f"{WORLD}/stubs/1"),
    ("POST", f"{WORLD}/faults"),
    ("PUT", f"{WORLD}/limits/bananadev"),
    ("POST", f"{WORLD}/journal/verify"),
    ("GET", f"{WORLD}/journal"),
    ("GET", f"{WORLD}/faults"),
    ("GET", f"{WORLD}/limits"),
    ("GET", f"{WORLD}/coverage"),
    ("GET", f"{WORLD}/coverage.txt"),
    ("GET", f"{WORLD}/export"),
    ("DELETE", f"{WORLD}/faults"),
    ("DELETE", f"{WORLD}/journal"),
    ("DELETE", f"{WORLD}/coverage"),
    ("DELETE", f"{WORLD}/limits/bananadev"),
    ("DELETE", WORLD),
    ("GET", WORLD),
    ("GET", "/_stand/worlds"),
    ("GET", "/_stand/health"),
    ("GET", "/_stand/contracts/bananadev"),
    ("GET", "/_stand"),
]
NAMES = ["name", "kind", "seed", "time", "speed", "advance", "mode", "polls", "seconds", "failures", "failure", "calls",
         "operation", "first", "last", "status", "message", "probability", "expected", "exactly", "at_least", "at_most",
         "step", "headers", "body", "request", "responses", "times", "bananadev.hold_seconds",
         "bananadev.build_seconds", "falai.admin_key", *EXPORTED]  # fmt: skip
WORDS = st.sampled_from(["", "development", "empty", "virtual", "status", "reset", "after_seconds", "*", "start_run"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS
JSONS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
BODIES = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), JSONS, max_size=4) | JSONS


def test_every_route_of_the_control_plane_is_fuzzed(shared: Server) -> None:
    described = call(shared, "GET", "/_stand/openapi.json").json()["paths"]
    known = {
        (method.upper(), path.format(name="default", provider="bananadev", stub="1"))
        for path, methods in described.items()
        for method in methods
    }
    assert known - set(ROUTES) == set()


@pytest.mark.parametrize(("method", "path"), ROUTES)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(body=BODIES)
def test_no_body_makes_the_control_plane_fail(shared: Server, method: str, path: str, body: Any) -> None:
    raw = json.dumps(body).encode("utf-8", "surrogatepass")
    answer = call(shared, method, path, raw)

    assert answer.status < 500
    if answer.status >= 400:
        detail(answer)
    for world in list(shared.worlds):
        if world is not shared.worlds.default:
            shared.worlds.remove(world)
