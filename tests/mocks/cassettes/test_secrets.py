"""No secret of a recorded call reaches the cassette: keys in every place of a request, echoed in every form."""

from __future__ import annotations

import base64
import gzip
import json
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

import bananastand_mocks
from bananastand_mocks.cassettes.scrubber import Scrubber
from bananastand_mocks.running import MockSession

KEY = 'k3y/With+Odd="Signs"&<ü>'  # every encoding of it is different
PLAIN = "f4c3b2a190817263"


@pytest.fixture(scope="module")
def service() -> Iterator[HTTPServer]:
    with HTTPServer() as server:
        server.expect_request(re.compile(".*")).respond_with_handler(echo)
        yield server


def echo(request: Request) -> Response:
    """Answer with all that came, in several encodings, as services do in errors and in links to the next page."""
    parts = [request.full_path, *(f"{name}: {value}" for name, value in request.headers.items())]
    parts.append(request.get_data().decode("utf-8", "replace"))
    parts.append(json.dumps([KEY, PLAIN]))
    body = {
        "echo": parts,
        "link": f"https://user:{PLAIN}@files.example.com/a?api_key={quote(KEY, safe='')}&page=2",
        "nested": json.dumps({"used": PLAIN, "again": KEY}),
        "encoded": [base64.b64encode(KEY.encode()).decode(), base64.b64encode(PLAIN.encode()).decode()],
        "page": {"next_page_token": "page-two-of-three", "total_tokens": 12},
        PLAIN: 1,
    }
    return Response(
        json.dumps(body), 200, {"X-Echo": PLAIN, "Location": f"/a?x={PLAIN}"}, content_type="application/json"
    )


@pytest.fixture
def stand(service: HTTPServer, tmp_path: Path) -> Iterator[MockSession]:
    with bananastand_mocks.start("gobananas", "paperbanana") as server:
        session = server.stand()
        url = f"http://127.0.0.1:{service.port}"
        session.record(tmp_path / "cassette.yaml", f"gobananas={url}", f"paperbanana={url}")
        yield session


def send(stand: MockSession, method: str = "POST", path: str = "/api/anything", **options: Any) -> httpx2.Response:
    return httpx2.request(method, f"{stand.endpoint('gobananas').base_url}{path}", timeout=60, **options)


def encodings(secret: str) -> list[str]:
    return [
        secret,
        quote(secret, safe=""),
        quote(secret),
        json.dumps(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
    ]


def gzipped(value: Any) -> dict[str, Any]:
    content = gzip.compress(json.dumps(value).encode())
    return {"content": content, "headers": {"Content-Encoding": "gzip", "Content-Type": "application/json"}}


def multipart(head: str, value: str, end: str = "\r\n") -> dict[str, Any]:
    content = end.join(("--b", head, "", value, "--b--", ""))
    return {"content": content.encode(), "headers": {"Content-Type": "multipart/form-data; boundary=b"}}


POSITIONS: dict[str, dict[str, Any]] = {
    "bearer": {"headers": {"Authorization": f"Bearer {PLAIN}"}},
    "fal's scheme": {"headers": {"Authorization": f"Key {PLAIN}"}},
    "basic password": {"auth": ("someone", PLAIN)},
    "basic user": {"auth": (PLAIN, "")},
    "api key header": {"headers": {"X-API-Key": PLAIN}},
    "banana header": {"headers": {"X-Banana-API-Key": PLAIN}},
    "header of unknown name": {"headers": {"X-Shop-Thing": PLAIN}},
    "cookie": {"headers": {"Cookie": f"theme=dark; sid={PLAIN}"}},
    "query": {"params": {"api_token": PLAIN}},
    "odd signs in the query": {"params": {"api_key": KEY}},
    "google's query": {"params": {"key": PLAIN}},
    "json": {"json": {"apiKey": PLAIN}},
    "odd signs in json": {"json": {"apiKey": KEY}},
    "nested json": {"json": {"account": [{"client_secret": PLAIN}]}},
    "everything below a secret": {"json": {"credentials": {"id": PLAIN}}},
    "webhook secret": {"json": {"webhook_secret": PLAIN}},
    "signed address in json": {"json": {"url": f"https://bucket.example.com/x?X-Amz-Signature={PLAIN}"}},
    "form": {"data": {"password": PLAIN}},
    "multipart": {"files": {"picture": b"\x89PNG", "api_key": (None, PLAIN)}},
    "multipart with single quotes": multipart("Content-Disposition: form-data; name='api_key'", PLAIN),
    "second line of a part": multipart('Content-Disposition: form-data; name="private_key"', f"first\r\n{PLAIN}"),
    "multipart with bare line feeds": multipart('Content-Disposition: form-data; name="api_key"', PLAIN, "\n"),
    "xml": {"content": f"<a><apiKey>{PLAIN}</apiKey></a>", "headers": {"Content-Type": "application/xml"}},
    "json in UTF-16": {
        "content": json.dumps({"token": PLAIN}).encode("utf-16"),
        "headers": {"Content-Type": "application/json; charset=utf-16"},
    },
    "variable by name and value": {"json": {"env": [{"name": "HF_TOKEN", "value": PLAIN}]}},
    "path": {"path": f"/api/token/{PLAIN}"},
    "compressed": gzipped({"token": PLAIN}),
    "text": {"content": f"token={PLAIN}", "headers": {"Content-Type": "text/plain"}},
}


@pytest.mark.parametrize("position", POSITIONS)
def test_a_key_is_neither_in_the_recorded_request_nor_anywhere_in_the_answer(
    stand: MockSession, position: str, tmp_path: Path
) -> None:
    secret = KEY if position.startswith("odd") else PLAIN

    answer = send(stand, **POSITIONS[position])

    assert answer.json()["page"]["total_tokens"] == 12  # the client gets what the service answered
    cassette = (tmp_path / "cassette.yaml").read_text()
    assert [form for form in encodings(secret) if form in cassette] == []
    assert "[redacted]" in cassette
    assert "next_page_token: page-two-of-three" in cassette  # what only sounds like a secret stays


@pytest.mark.parametrize(
    "secret",
    [
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "at_r0123456789abcdef0123456789abcdef",
        "pb_0123456789abcdef0123456789abcdef",
        "8f14e45f-ceea-467f-a0e6-1c5d4d7f3b2a:0123456789abcdef0123456789abcdef",
        "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "AKIAIOSFODNN7EXAMPLE",
        "hf_abcdefghijklmnopqrstuvwxyzABCDEF",
    ],
)
def test_keys_of_known_forms_are_found_wherever_they_are(stand: MockSession, secret: str, tmp_path: Path) -> None:
    send(stand, json={"prompt": f"I pasted {secret} here"}, headers={"Content-Type": "application/json"})

    cassette = (tmp_path / "cassette.yaml").read_text()
    assert secret not in cassette
    assert "I pasted [redacted] here" in cassette


def test_a_password_that_is_a_number_is_redacted_and_a_number_of_tokens_is_not(
    stand: MockSession, tmp_path: Path
) -> None:
    send(stand, json={"password": 81726354, "usage": {"tokens": 81726355}})

    cassette = (tmp_path / "cassette.yaml").read_text()
    assert "password: '[redacted]'" in cassette
    assert "tokens: 81726355" in cassette


def test_a_key_in_the_address_of_an_operation_is_found_by_its_contract(stand: MockSession, tmp_path: Path) -> None:
    base = stand.endpoint("paperbanana").base_url
    httpx2.delete(f"{base}/api/admin/keys/{PLAIN}", headers={"Authorization": "Bearer short"})

    cassette = (tmp_path / "cassette.yaml").read_text()
    assert PLAIN not in cassette
    assert "path: /api/admin/keys/[redacted]" in cassette


def test_a_key_that_an_earlier_answer_handed_out_is_taken_out_of_it_when_it_is_used(
    service: HTTPServer, stand: MockSession, tmp_path: Path
) -> None:
    cassette = tmp_path / "cassette.yaml"
    service.expect_oneshot_request("/api/login").respond_with_json({"opens": PLAIN})
    send(stand, path="/api/login")
    assert PLAIN in cassette.read_text()  # nothing says yet that it is a secret

    send(stand, path="/api/next", headers={"Authorization": f"Bearer {PLAIN}"})

    assert PLAIN not in cassette.read_text()
    assert cassette.read_text().count("- provider: gobananas") == 2


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Set-Cookie": f"sid={PLAIN}; HttpOnly"}, {"echo": PLAIN}),
        ({"X-Auth-Token": PLAIN}, {"echo": PLAIN}),
        ({}, {"key": PLAIN, "echo": [PLAIN]}),
        ({}, {"webhook": {"secret": PLAIN}, "echo": PLAIN}),
        ({}, {"access_token": PLAIN, "echo": f"use {PLAIN}"}),
    ],
)
def test_a_key_that_only_the_answer_has_is_redacted(
    service: HTTPServer, stand: MockSession, headers: dict[str, str], body: Any, tmp_path: Path
) -> None:
    service.expect_oneshot_request("/api/made").respond_with_json(body, headers=headers)

    assert send(stand, path="/api/made").json() == body

    assert PLAIN not in (tmp_path / "cassette.yaml").read_text()


def test_a_key_that_is_split_between_pieces_of_a_stream_is_redacted(
    service: HTTPServer, stand: MockSession, tmp_path: Path
) -> None:
    pieces = ["data: one\n\n", f"data: {PLAIN[:7]}", f"{PLAIN[7:]}\n\n", "data: end\n\n"]
    service.expect_oneshot_request("/api/stream").respond_with_response(
        Response(iter(pieces), content_type="text/event-stream")
    )

    answer = send(stand, "GET", "/api/stream", headers={"X-API-Key": PLAIN})

    assert answer.text == "".join(pieces)
    cassette = (tmp_path / "cassette.yaml").read_text()
    assert PLAIN[:7] not in cassette
    assert "data: [redacted]" in cassette


def test_the_file_is_for_its_owner_alone(service: HTTPServer, stand: MockSession, tmp_path: Path) -> None:
    cassette = tmp_path / "cassette.yaml"
    assert stat.S_IMODE(cassette.stat().st_mode) == 0o600
    service.expect_oneshot_request("/api/login").respond_with_json({"opens": PLAIN})
    send(stand, path="/api/login")
    send(stand, headers={"Authorization": f"Bearer {PLAIN}"})

    assert stat.S_IMODE(cassette.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "<a>",
        "<a ",
        "<a></",
        "/token/",
        "--b\n\n",
        "QUJDeyJhbGciOi-",
        "key ",
        "-eyJaaaaaaaaa",
        "://a:b",
        "token",
        "sk-",
        "\r\ncontent-disposition: name=a",
    ],
)
def test_a_long_body_is_searched_in_time_that_grows_with_its_length(text: str) -> None:
    scrubber, body = Scrubber(), text * (300_000 // len(text))
    started = time.process_time()

    scrubber.text(body)
    scrubber.learn_parts(body.encode())

    assert time.process_time() - started < 20  # a search that begins anew at every character takes hours
