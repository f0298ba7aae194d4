"""Record a service, then answer from the cassette without it. The service is a mock of its own, or a small server."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

import bananastand_mocks
from bananastand_mocks.cassettes import Cassette, CassetteError
from bananastand_mocks.cassettes.bodies import content_of, pack
from bananastand_mocks.cassettes.cassette import read_cassette
from bananastand_mocks.cassettes.exchanges import build_exchanges
from bananastand_mocks.cassettes.scrubber import Scrubber
from bananastand_mocks.conformance import conform_cassette
from bananastand_mocks.providers import NAMES
from bananastand_mocks.running import MockSession, RunningServer

HEADERS = {"X-API-Key": "sk_live_bananastand"}
NEAREST = "/api/images, which differs in"
KEYS = {"lowcodeapi": "at_r0123456789abcdef0123456789abcdef"}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with bananastand_mocks.start() as running:
        yield running


@pytest.fixture
def stand(server: RunningServer) -> MockSession:
    return server.stand()


@pytest.fixture
def service() -> Iterator[HTTPServer]:
    with HTTPServer() as running:
        yield running


def get(address: str, **options: Any) -> httpx2.Response:
    return httpx2.get(address, timeout=60, **options)


def post(address: str, **options: Any) -> httpx2.Response:
    return httpx2.post(address, timeout=60, **options)


def record(server: RunningServer, service: HTTPServer, cassette: Path) -> str:
    """Begin to record; return the address to call."""
    session = server.stand()
    session.record(cassette, f"gobananas=http://127.0.0.1:{service.port}")
    return session.endpoint("gobananas").base_url


def entry(path: str = "/api/profile", body: Any = None, answer: Any = None, **query: Any) -> dict[str, Any]:
    request = {"method": "POST" if body else "GET", "path": path, "query": query}
    if body:
        request["body"] = {"json": body}
    headers = {"content-type": "application/json"}
    return {"provider": "gobananas", "request": request,
            "response": {"status": 200, "headers": headers, "body": {"json": answer}}}  # fmt: skip


def cassette_of(path: Path, *entries: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump({"version": 1, "interactions": list(entries)}))
    return path


def test_a_recorded_session_is_answered_again_without_the_service(server: RunningServer, tmp_path: Path) -> None:
    cassette = tmp_path / "cassette.yaml"
    with bananastand_mocks.start("gobananas", kind="documents") as real:
        recording = server.stand()
        recording.record(cassette, f"gobananas={real.url}/gobananas")
        base = recording.endpoint("gobananas").base_url
        live = [
            get(f"{base}/api/images", params={"limit": 2}, headers=HEADERS),
            get(f"{base}/api/images/999", headers=HEADERS),
            post(f"{base}/api/images", json={"prompt": "a pear"}, headers=HEADERS),
            get(f"{base}/api/profile"),
        ]
    replaying = server.stand()
    replaying.replay(cassette)
    base = replaying.endpoint("gobananas").base_url
    again = [
        get(f"{base}/api/images?limit=2", headers={"X-API-Key": "any"}),
        get(f"{base}/api/images/999", headers={"X-API-Key": "any"}),
        post(f"{base}/api/images", json={"prompt": "a pear"}),
        get(f"{base}/api/profile"),
    ]

    assert [answer.status_code for answer in live] == [200, 404, 200, 401]
    for old, new in zip(live, again, strict=True):
        assert (new.status_code, new.json()) == (old.status_code, old.json())
        assert new.headers.get("x-ratelimit-remaining") == old.headers.get("x-ratelimit-remaining")
    assert replaying.unplayed == []
    assert [call.status for call in replaying.journal] == [200, 404, 200, 401]


def test_the_file_is_readable_and_grows_with_each_call(
    server: RunningServer, service: HTTPServer, tmp_path: Path
) -> None:
    cassette = tmp_path / "cassette.yaml"
    service.expect_request("/v1/fruit").respond_with_json(
        {"day": "2026-01-31", "price": 1.5, "none": None, "text": "yes"}
    )
    base = record(server, service, cassette)

    for number in (1, 2):
        get(f"{base}/v1/fruit", params={"page": number})
        assert cassette.read_text().count("- provider: gobananas") == number

    document = yaml.safe_load(cassette.read_text())
    assert document["services"] == {"gobananas": f"http://127.0.0.1:{service.port}"}
    first = document["interactions"][0]
    assert (first["request"]["method"], first["request"]["path"]) == ("GET", "/v1/fruit")
    assert first["request"]["query"] == {"page": "1"}
    assert first["response"]["body"] == {"json": {"day": "2026-01-31", "price": 1.5, "none": None, "text": "yes"}}


def test_calls_that_are_alike_get_their_answers_in_order_and_then_the_last_one(
    stand: MockSession, tmp_path: Path
) -> None:
    states = ["queued", "running", "done"]
    stand.replay(cassette_of(tmp_path / "c.yaml", *(entry(answer={"state": state}) for state in states)))
    address = f"{stand.endpoint('gobananas').base_url}/api/profile"

    assert [get(address).json()["state"] for _ in range(4)] == ["queued", "running", "done", "done"]
    stand.reset()
    assert get(address).json() == {"state": "queued"}
    assert [str(left) for left in stand.unplayed] == [
        "entry 2 of c.yaml, GET /api/profile", "entry 3 of c.yaml, GET /api/profile"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/api/images?limit=3", None, 'entry 1 of c.yaml, GET {} query.limit: recorded "2", received "3"'),
        ("/api/images", None, 'entry 1 of c.yaml, GET {} query.limit: recorded "2", received nothing'),
        ("/api/images", {"prompt": "b"}, 'entry 2 of c.yaml, POST {} body.json.prompt: recorded "a", received "b"'),
        (
            "/api/images",
            {"prompt": "a", "n": 1},
            "entry 2 of c.yaml, POST {} body.json.n: recorded nothing, received 1",
        ),
    ],
)
def test_a_call_that_was_not_recorded_is_refused_with_the_nearest_entry(
    stand: MockSession, path: str, body: Any, where: str, tmp_path: Path
) -> None:
    stand.replay(
        cassette_of(tmp_path / "c.yaml", entry("/api/images", limit="2"), entry("/api/images", {"prompt": "a"}))
    )
    base = stand.endpoint("gobananas").base_url
    answer = get(f"{base}{path}") if body is None else post(f"{base}{path}", json=body)

    assert answer.status_code == 501
    text = answer.json()["error"]
    assert text.startswith(
        f"no recorded call matches {'POST' if body else 'GET'} /api/images; nearest is {where}".format(NEAREST)
    )
    assert text.endswith("; change the request, or record it")


@pytest.mark.parametrize("provider", NAMES)
def test_every_providers_dialect_says_what_was_not_recorded(
    server: RunningServer, provider: str, tmp_path: Path
) -> None:
    session = server.stand()
    session.replay(cassette_of(tmp_path / "c.yaml", {**entry("/v1/models"), "provider": provider}))

    for path in ("/v1/models?limit=9", "/of/no/operation"):
        answer = get(f"{session.endpoint(provider).base_url}{path}")
        assert answer.status_code == 501, path
        assert "nearest is entry 1 of c.yaml, GET /v1/models" in json.loads(answer.text).__str__()


def test_a_redacted_value_of_the_cassette_equals_any_other(stand: MockSession, tmp_path: Path) -> None:
    stand.replay(cassette_of(tmp_path / "c.yaml", entry("/api/x/[redacted]/y", {"note": "for [redacted]"}, {"ok": 1})))
    base = stand.endpoint("gobananas").base_url

    assert post(f"{base}/api/x/mine/y", json={"note": "for me"}).json() == {"ok": 1}
    assert post(f"{base}/api/x/mine/y", json={"note": "to me"}).status_code == 501


def test_match_leaves_parts_of_a_request_out_of_account(stand: MockSession, tmp_path: Path) -> None:
    stand.replay(cassette_of(tmp_path / "c.yaml", entry("/api/images", limit="2", answer=[])), match=("method", "path"))

    assert get(f"{stand.endpoint('gobananas').base_url}/api/images?limit=77").json() == []


def test_pictures_and_streams_come_back_as_they_were(
    server: RunningServer, service: HTTPServer, stand: MockSession, tmp_path: Path
) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    events = ['data: {"step": 1}\n\n', "event: done\ndata: grüße\n\n"]
    service.expect_request("/picture").respond_with_data(picture, content_type="image/png")
    service.expect_request("/events").respond_with_response(Response(iter(events), content_type="text/event-stream"))
    service.expect_request("/nothing").respond_with_data("", status=204)
    base = record(server, service, tmp_path / "c.yaml")
    live = [get(f"{base}/{name}") for name in ("picture", "events", "nothing")]

    stand.replay(tmp_path / "c.yaml")
    base = stand.endpoint("gobananas").base_url
    with httpx2.stream("GET", f"{base}/events") as streamed:
        pieces = [*streamed.iter_text()]
    again = [get(f"{base}/picture"), get(f"{base}/nothing")]

    assert live[0].content == again[0].content == picture
    assert (again[0].headers["content-type"], again[1].status_code, again[1].content) == ("image/png", 204, b"")
    assert live[1].text == "".join(pieces) == "".join(events)


def test_an_upload_matches_although_its_boundary_is_new(
    server: RunningServer, service: HTTPServer, stand: MockSession, tmp_path: Path
) -> None:
    service.expect_request("/upload").respond_with_json({"size": 4})
    upload = {"file": ("a.bin", b"\x00\x01\xfe\xff", "application/octet-stream")}
    post(f"{record(server, service, tmp_path / 'c.yaml')}/upload", files=upload)

    stand.replay(tmp_path / "c.yaml")
    address = f"{stand.endpoint('gobananas').base_url}/upload"

    assert post(address, files=upload).json() == {"size": 4}
    assert post(address, files={"file": ("a.bin", b"other", "text/plain")}).status_code == 501


def test_what_is_sent_reaches_the_service_as_it_is(server: RunningServer, service: HTTPServer, tmp_path: Path) -> None:
    received: list[Request] = []

    def note(request: Request) -> Response:
        received.append(request)
        return Response("", 302, {"Location": "/elsewhere"})

    service.expect_request(re.compile("/a.*")).respond_with_handler(note)
    base = record(server, service, tmp_path / "c.yaml")
    answer = httpx2.put(
        f"{base}/a%2Fb/c%20d?x=1&x=2&y=%26", content=b"raw", headers={"Authorization": "Bearer real-key"}
    )

    (request,) = received
    assert (request.environ["REQUEST_URI"], request.get_data()) == ("/a%2Fb/c%20d?x=1&x=2&y=%26", b"raw")
    assert request.headers["Authorization"] == "Bearer real-key"
    assert (answer.status_code, answer.headers["location"]) == (302, "/elsewhere")


def test_faults_strike_replayed_calls_too(stand: MockSession, tmp_path: Path) -> None:
    stand.replay(cassette_of(tmp_path / "c.yaml", entry(answer={"fine": True})))
    stand.faults.next_calls(1, "status", "get_profile", status=503)
    address = f"{stand.endpoint('gobananas').base_url}/api/profile"

    assert [get(address).status_code for _ in range(2)] == [503, 200]


def test_a_service_that_does_not_answer_gives_502_and_is_not_recorded(server: RunningServer, tmp_path: Path) -> None:
    session = server.stand()
    session.record(tmp_path / "c.yaml", "gobananas=http://127.0.0.1:9")
    answer = get(f"{session.endpoint('gobananas').base_url}/api/profile")

    assert answer.status_code == 502
    assert "http://127.0.0.1:9 does not answer" in answer.json()["error"]
    assert yaml.safe_load((tmp_path / "c.yaml").read_text())["interactions"] is None


def test_a_recorder_of_itself_does_not_go_round_in_a_circle(server: RunningServer, tmp_path: Path) -> None:
    session = server.stand()
    base = session.endpoint("gobananas").base_url
    session.record(tmp_path / "c.yaml", f"gobananas={base}")

    assert get(f"{base}/api/profile").status_code == 502


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("version: 1\ninteractions: [", "line 3"),
        ("- 1", "is no cassette: the file"),
        ("version: 2\ninteractions: []", "is no cassette: version: "),
        ("version: 1\ninteractions: [{provider: gobananas, request: {method: GET}, response: {status: 200}}]",
         'interactions.0.request: "path" is a required property'),
        ("version: 1\ninteractions: [{provider: gobananas, request: {method: GET, path: /}, response: {status: many}}]",
         "interactions.0.response.status"),
        ("version: 1\ninteractions:\n- provider: gobananas\n  request: {method: GET, path: /}\n"
         "  response: {status: 200, body: {base64: '%'}}", "entry 1: the body's base64 is wrong"),
        ("version: 1\ninteractions: [{provider: shop, request: {method: GET, path: /}, response: {status: 200}}]",
         "shop of the cassette is not served; there are bananadev, "),
    ],
)  # fmt: skip
def test_a_file_that_is_no_cassette_is_refused_with_the_place(
    stand: MockSession, text: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(text)

    with pytest.raises(CassetteError, match=re.escape(problem)):
        stand.replay(tmp_path / "c.yaml")


def test_a_file_that_exists_is_not_overwritten(stand: MockSession, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("mine")

    with pytest.raises(CassetteError, match="exists: delete it, name another file, or replay it too to add to it"):
        stand.record(tmp_path / "c.yaml", "gobananas")
    assert (tmp_path / "c.yaml").read_text() == "mine"
    with pytest.raises(ValueError, match="there is no provider shop to record"):
        stand.record(tmp_path / "d.yaml", "shop=http://127.0.0.1")


def test_the_contract_is_held_to_what_was_recorded(tmp_path: Path) -> None:
    profile = {"tenant": {"tenantId": 5}}
    cassette = cassette_of(
        tmp_path / "c.yaml",
        entry(answer=profile),
        entry("/api/moon", answer=1),
        entry("/api/images", answer=[], limit="many"),
    )

    first, second, third = conform_cassette(cassette)

    assert (first.operation, first.result) == ("get_profile", "failed")
    assert "body.tenant.tenantId" in [difference.where for difference in first.differences]
    assert (second.operation, second.differences[0].answer) == ("-", "unknown_route: GET /api/moon")
    assert ("request.query.limit", "was accepted") in [(part.where, part.answer) for part in third.differences]


def test_what_the_mocks_answer_passes_when_it_was_recorded(server: RunningServer, tmp_path: Path) -> None:
    session = server.stand()
    with bananastand_mocks.start("falai", kind="documents") as real:
        session.record(tmp_path / "c.yaml", f"falai={real.url}/lowcodeapi/falai")
        base, token = session.endpoint("falai").base_url, {"api_token": KEYS["lowcodeapi"]}
        for path in ("/v1/models", "/v1/models/pricing?endpoint_id=fal-ai/flux/dev", "/v1/compute/instances"):
            get(f"{base}{path}", params=token)

    outcomes = list(conform_cassette(tmp_path / "c.yaml"))

    assert len(outcomes) == 3
    assert [outcome for outcome in outcomes if outcome.result != "passed"] == []
    assert KEYS["lowcodeapi"] not in (tmp_path / "c.yaml").read_text()
    assert os.stat(tmp_path / "c.yaml").st_mode & 0o777 == 0o600


@settings(max_examples=30, deadline=None)
@given(text=st.text(), key=st.text())
def test_every_text_is_read_as_it_was_written(text: str, key: str) -> None:
    content = json.dumps({key: [text, text]}).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.yaml"
        cassette = Cassette(path, {"gobananas": "http://127.0.0.1"}, Scrubber())
        for body in (pack(content, "application/json"), pack(text.encode("utf-8", "replace"), "text/plain"), None):
            cassette.add({**entry(), "response": {"status": 200, **({"body": body} if body else {})}})
        interactions = read_cassette(path)

    assert len(interactions) == 3
    first, second = (content_of(interaction.answer) for interaction in interactions[:2])
    assert json.loads(first) == json.loads(content)
    assert second == text.encode("utf-8", "replace")


def test_known_calls_are_replayed_and_only_new_ones_are_recorded(service: HTTPServer, tmp_path: Path) -> None:
    cassette = cassette_of(tmp_path / "c.yaml", entry("/api/known", answer="recorded"))
    service.expect_request("/api/new").respond_with_json("live")
    with bananastand_mocks.start("gobananas") as server:
        real = f"gobananas=http://127.0.0.1:{service.port}"
        exchanges = build_exchanges(server.asgi.providers, record=[real], cassette=cassette, replay=[cassette])
        server.asgi.worlds.exchanges.update(exchanges)
        base = server.endpoint("gobananas").base_url
        answers = [get(f"{base}/api/{name}").json() for name in ("known", "new", "known")]

    assert answers == ["recorded", "live", "recorded"]
    assert [(saved.path, saved.answer) for saved in read_cassette(cassette)] == [
        ("/api/known", {"json": "recorded"}),
        ("/api/new", {"json": "live"}),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://api.lowcodeapi.com/falai", ["falai"]),
        ("https://api.lowcodeapi.com/bananadev", ["bananadev"]),
        ("https://api.paperbanana.me", ["paperbanana"]),
        ("falai", ["falai"]),
    ],
)
def test_a_url_or_a_name_alone_says_what_is_recorded(
    server: RunningServer, text: str, expected: list[str], tmp_path: Path
) -> None:
    exchanges = build_exchanges(server.asgi.providers, record=[text], cassette=tmp_path / "c.yaml")

    assert list(exchanges) == expected
    services = yaml.safe_load((tmp_path / "c.yaml").read_text())["services"]
    assert services[expected[0]] == ("https://api.lowcodeapi.com/falai" if text == "falai" else text)


def test_a_url_of_no_provider_is_refused(server: RunningServer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"https://a\.example is no known service: write NAME=https://a\.example"):
        build_exchanges(server.asgi.providers, record=["https://a.example"], cassette=tmp_path / "c.yaml")
