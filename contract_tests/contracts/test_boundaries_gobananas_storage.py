"""Go Bananas! at its boundaries: forms of many parts, stored bytes, idle sessions and the texts of errors.

An empty tenant, whose clock starts at 2026-01-01T00:00:00Z.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from bananastand_mocks.gobananas import GoBananasProvider
from bananastand_mocks.gobananas.ledger import add
from flat_painter import FlatPainter
from in_process import InProcess

ONE_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = base64.b64decode(ONE_PIXEL)
FORM = {"content-type": "multipart/form-data; boundary=b"}


@pytest.fixture
def call() -> InProcess:
    return InProcess(GoBananasProvider(FlatPainter()), kind="empty", headers={"x-api-key": "sk_live_bananastand"})


def create(call: InProcess) -> Any:
    return call("POST", "/api/images", json={"prompt": "a"})


def part(header: bytes, content: bytes) -> bytes:
    return b"--b\r\n" + header + b"\r\n\r\n" + content + b"\r\n"


def field(name: bytes, content: bytes = b"x") -> bytes:
    return part(b'Content-Disposition: form-data; name="' + name + b'"', content)


def upload(call: InProcess, body: bytes) -> httpx2.Response:
    return call("POST", "/api/images/upload", content=body + b"--b--", headers=FORM)


def test_a_file_is_found_behind_a_preamble_and_parts_without_a_name(call: InProcess) -> None:
    assert upload(call, b"a preamble\r\n" + field(b"file", PICTURE)).status_code == 200
    unnamed = part(b"Content-Type: text/plain", b"other bytes")
    assert upload(call, unnamed + field(b"file", PICTURE)).json()["size_bytes"] == len(PICTURE)


@pytest.mark.parametrize(("others", "status"), [(63, 200), (64, 400)])
def test_a_file_is_looked_for_among_64_parts(others: int, status: int, call: InProcess) -> None:
    assert upload(call, field(b"other") * others + field(b"file", PICTURE)).status_code == status


def test_an_image_says_what_it_weighs_and_that_it_has_no_negative_prompt(call: InProcess) -> None:
    id = create(call).json()["images"][0]["id"]
    image = call("GET", f"/api/images/{id}").json()
    content = call("GET", urlsplit(image["url"]).path).content
    assert (image["size_bytes"], image["negative_prompt"]) == (len(content), None)


def test_a_picture_that_nobody_has_fetched_yet_has_its_own_size_and_not_its_thumbnails() -> None:
    call = InProcess(GoBananasProvider(), kind="documents", headers={"x-api-key": "sk_live_bananastand"})
    id = call("GET", "/api/images").json()["images"][0]["id"]
    image = call("GET", f"/api/images/{id}").json()
    assert image["size_bytes"] == len(call("GET", urlsplit(image["url"]).path).content)


@pytest.mark.parametrize(("megabytes", "stored", "status"), [(0, 0, 429), (1, 1_000_000, 429), (1, 999_999, 200)])
def test_a_month_has_its_megabytes(megabytes: int, stored: int, status: int, call: InProcess) -> None:
    call.world.settings["gobananas.monthly_mb"] = megabytes
    add(call.world, call.world.clock.now(), size=stored)
    assert create(call).status_code == status


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 404)])
def test_uploads_beyond_256_megabytes_take_the_place_of_the_oldest(more: int, status: int, call: InProcess) -> None:
    first = upload(call, field(b"file", PICTURE)).json()
    (key,) = call.world.blobs
    call.world.blobs[key] = bytes(256_000_000 - len(PICTURE) + more)
    upload(call, field(b"file", PICTURE))
    assert (key in call.world.blobs) is (status == 200)
    if more:
        assert call("GET", urlsplit(first["url"]).path).status_code == status


@pytest.mark.parametrize(("seconds", "is_same"), [(1800, True), (1801, False)])
def test_a_session_is_over_after_half_an_hour(seconds: int, is_same: bool, call: InProcess) -> None:
    first = create(call).json()["session_id"]
    assert re.fullmatch(r"session-[a-z0-9]{8}", first, re.IGNORECASE)
    call.world.clock.advance(seconds)
    assert (create(call).json()["session_id"] == first) is is_same


def test_a_body_that_cannot_be_read_says_why(call: InProcess) -> None:
    with pytest.raises(json.JSONDecodeError) as unreadable:
        json.loads("nonsense")
    for body, text in (
        (b"nonsense", str(unreadable.value)),
        (b"[" * 101 + b"]" * 101, "nested deeper than 100 levels"),
    ):
        answer = call("POST", "/api/images", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400
        assert answer.json() == {"error": f"Invalid parameters: {text}", "code": "BAD_REQUEST"}


def test_a_wrong_method_names_the_allowed_ones(call: InProcess) -> None:
    answer = call("PATCH", "/api/images")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
