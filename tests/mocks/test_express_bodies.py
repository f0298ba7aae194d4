"""The gateway reads bodies and addresses as Express does. The expected values are what Express 4.21 itself answered."""

from __future__ import annotations

import gzip
import zlib

import pytest

from bananastand_mocks.falai import FalAIUpstream
from bananastand_mocks.lowcodeapi.gateway import Gateway
from in_process import InProcess

TOKEN = {"api_token": "at_r0123456789abcdef0123456789abcdef"}
BATCH = b'{"requests":[{"method":"GET","path":"/v1/models"}]}'
JSON = "application/json"


@pytest.fixture
def call() -> InProcess:
    return InProcess(Gateway(FalAIUpstream()))


def batch(call: InProcess, content: bytes, encoding: str = "identity", kind: str = JSON) -> tuple[int, str]:
    headers = {"content-type": kind, "content-encoding": encoding}
    answer = call("POST", "/v1/batch", params=TOKEN, content=content, headers=headers)
    return answer.status_code, answer.json()["message"]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (gzip.compress(BATCH), "gzip"),
        (gzip.compress(BATCH), "GZIP"),
        (gzip.compress(BATCH[:20]) + gzip.compress(BATCH[20:]), "gzip"),
        (zlib.compress(BATCH), "deflate"),
        (BATCH, "identity"),
        (BATCH, ""),
    ],
    ids=["gzip", "capitals", "two members", "deflate", "identity", "empty"],
)
def test_a_compressed_body_is_read(call: InProcess, content: bytes, encoding: str) -> None:
    assert batch(call, content, encoding) == (200, "Request completed")


@pytest.mark.parametrize(
    ("content", "encoding", "status", "message"),
    [
        (BATCH, "br", 415, 'unsupported content encoding "br"'),
        (gzip.compress(BATCH), "x-gzip", 415, 'unsupported content encoding "x-gzip"'),
        (gzip.compress(gzip.compress(BATCH)), "gzip, gzip", 415, 'unsupported content encoding "gzip, gzip"'),
        (BATCH, "gzip", 400, "incorrect header check"),
        (zlib.compress(BATCH)[2:-4], "deflate", 400, "incorrect header check"),
        (gzip.compress(BATCH) + b"xx", "gzip", 400, "incorrect header check"),
        (gzip.compress(BATCH)[:-6], "gzip", 400, "unexpected end of file"),
        (b"", "gzip", 400, "unexpected end of file"),
    ],
    ids=["brotli", "x-gzip", "twice", "plain", "raw deflate", "more behind", "cut off", "empty"],
)
def test_a_body_that_does_not_inflate_is_refused(
    call: InProcess, content: bytes, encoding: str, status: int, message: str
) -> None:
    assert batch(call, content, encoding) == (status, message)


def test_the_limit_holds_for_the_inflated_body(call: InProcess) -> None:
    assert batch(call, gzip.compress(b" " * (101 * 2**20)), "gzip") == (413, "request entity too large")


def test_a_body_of_any_utf_is_read(call: InProcess) -> None:
    assert batch(call, BATCH.decode().encode("utf-16"), kind=f"{JSON}; charset=utf-16")[0] == 200
    assert batch(call, b"\xef\xbb\xbf" + BATCH)[0] == 200
    assert batch(call, BATCH, kind=f"{JSON}; charset=latin1") == (415, 'unsupported charset "LATIN1"')


def test_a_body_that_is_no_json_is_not_looked_at(call: InProcess) -> None:
    answer = call("POST", "/v1/batch", params=TOKEN, content=BATCH, headers={"content-encoding": "br"} | TEXT)

    assert answer.json()["error"]["error"]["type"] == "validation_error", "as of an empty body"


TEXT = {"content-type": "text/plain"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/", 200),
        ("/V1/Models", 200),
        ("/v1/models/fal-ai/flux-pro/", 200),
        ("/definition/", 200),
        ("/v1/pricing//", 404),
        ("/v1//pricing", 404),
        ("//v1/pricing", 404),
    ],
)
def test_an_address_may_end_in_one_slash_and_be_in_capitals(call: InProcess, path: str, status: int) -> None:
    assert call("GET", f"http://mock{path}", params=TOKEN).status_code == status


def test_a_trailing_slash_is_allowed_with_strict_urls_too(call: InProcess) -> None:
    call.world.settings["lowcodeapi.strict_urls"] = True

    assert call("GET", "/v1/models/", params=TOKEN).status_code == 200
