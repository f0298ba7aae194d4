"""PaperBanana under hostile input: each gets the provider's own error, soon, and the next call is answered."""

from __future__ import annotations

import base64
import json
import resource
import time
from typing import Any

import httpx2
import pytest

from bananastand_mocks.paperbanana import PaperBananaProvider
from in_process import InProcess

KEY = {"authorization": "Bearer pb_" + "0" * 32}
ADMIN = {"authorization": "Bearer admin-bananastand"}
PLOT = {"data_json": '{"model": ["a", "b"], "accuracy": [1, 2]}', "intent": "Bar chart"}
SECOND = 1.0
MEMORY = 200 * 2**20


@pytest.fixture(scope="module")
def warm() -> InProcess:
    """A world whose drawing libraries are loaded, with two finished tasks."""
    send = InProcess(PaperBananaProvider(), kind="documents")
    for path in ("task_a", "task_b"):
        assert send("GET", f"/api/tasks/{path}", headers=KEY).status_code == 200
    return send


def timed(send: InProcess, method: str, path: str, **request: Any) -> httpx2.Response:
    """The answer, which has to come within a second and 200 MB."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    answer = send(method, path, **{"headers": KEY, **request})
    assert time.thread_time() - began < SECOND
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY
    assert send("GET", "/api/health").status_code == 200
    return answer


def refused(answer: httpx2.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["detail"]
    return answer.json()["detail"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b'{"data_json": "1", "intent": "\\ud800"}',
        b'{"data_json": "1", "intent": 1e999}',
        b'{"data_json": "1", "intent": NaN}',
        b'{"data_json": ' + b"[" * 50_000 + b"]" * 50_000 + b', "intent": "a"}',
        b'{"data_json": "1", "intent": "a", "iterations": ' + b"9" * 5000 + b"}",
        b'{"data_json": "1", "intent": "a", "iterations": 1.5}',
        b'{"data_json": "1", "intent": "a", "output_formats": [' + b'"png",' * 10_000 + b'"exe"]}',
    ],
)
def test_a_hostile_body_is_422(warm: InProcess, raw: bytes):
    answer = timed(warm, "POST", "/api/plot", content=raw, headers={**KEY, "content-type": "application/json"})
    assert refused(answer, 422) != ""


def test_a_body_too_large_is_413(warm: InProcess):
    answer = warm("POST", "/api/plot", content=b"x" * (PaperBananaProvider.max_body + 1), headers=KEY)
    assert refused(answer, 413) == "Request body too large"


@pytest.mark.parametrize(
    "data",
    [
        "",
        "[",
        "[" * 100_000,
        "[" * 500 + "]" * 500,
        "9" * 5000,
        '{"a": }',
        "\ud83d",
        "[1,]",
        "\x00",
        "[NaN]",
        "[1e999]",
    ],
)
def test_hostile_data_json_is_422(warm: InProcess, data: str):
    answer = timed(warm, "POST", "/api/plot", content=json.dumps({**PLOT, "data_json": data}).encode(),
                   headers={**KEY, "content-type": "application/json"})  # fmt: skip
    assert refused(answer, 422) != ""


@pytest.mark.parametrize(
    "data",
    ["{}", "[]", "null", "true", '"a"', "[[[[1]]]]", '{"": {"": []}}', "[1e308, -1e308]",
     '{"a": "' + "b" * 100_000 + '"}', json.dumps([1] * 200_000)],
)  # fmt: skip
def test_data_that_is_json_but_no_chart_is_a_task_that_ends(warm: InProcess, data: str):
    task = warm("POST", "/api/plot", json={**PLOT, "data_json": data}, headers=KEY).json()["task_id"]
    status = warm("GET", f"/api/tasks/{task}", headers=KEY).json()
    assert status["status"] in ("completed", "failed")
    assert (status["error"] is None) == (status["status"] == "completed")


@pytest.mark.parametrize(
    "pdf",
    [
        "",
        "====",
        "data:text/html;base64,PGI+",
        "data:application/pdf;base64,",
        base64.b64encode(b"%PDF-1.4").decode(),
        base64.b64encode(b"%PDF-1.4\n" + b"\x00" * 100_000).decode(),
        base64.b64encode(b"PK\x03\x04" + b"a" * 1000).decode(),
        "A" * 1_000_001,
        "\u200b" * 1000,
    ],
)
def test_a_hostile_pdf_is_422(warm: InProcess, pdf: str):
    answer = timed(warm, "POST", "/api/generate-from-pdf", json={"pdf_base64": pdf, "caption": "a"})
    assert refused(answer, 422) != ""


@pytest.mark.parametrize(
    "path",
    [
        "/api/tasks/..%2f..%2fetc%2fpasswd",
        "/api/tasks/%2e%2e/image",
        "/api/tasks/%00",
        "/api/tasks/" + "a" * 5000,
        "/api/tasks/task_a%0d%0aSet-Cookie:x",
        "/api/tasks/%ff%fe",
        "/api/tasks/..\\..\\secret/image",
        "/api/tasks/paperbanana%2ftask_a%2finput.pdf",
    ],
)
def test_a_hostile_path_is_404(warm: InProcess, path: str):
    assert refused(timed(warm, "GET", path), 404) != ""


@pytest.mark.parametrize("key", ["..%2fx", "%00", "...", "pb_...", "pb_000000....", "*", "a" * 5000, "%ff"])
def test_a_hostile_key_is_404(warm: InProcess, key: str):
    for method in ("GET", "DELETE"):
        answer = timed(warm, method, f"/api/admin/keys/{key}", headers=ADMIN)
        assert refused(answer, 404) in ("API key not found", "Not Found")


@pytest.mark.parametrize(
    "body",
    [
        {"source_task_ids": ["task_a"] * 101},
        {"source_task_ids": ["task_a"] * 2, "layout": "999999x999999x1"},
        {"source_task_ids": ["task_a"] * 2, "layout": "-1x-2"},
        {"source_task_ids": ["task_a"] * 2, "layout": "9" * 5000 + "x1"},
        {"source_task_ids": ["task_a"] * 2, "labels": ["a"] * 1000},
    ],
)
def test_a_hostile_composite_is_422(warm: InProcess, body: dict[str, Any]):
    assert refused(timed(warm, "POST", "/api/composite", json=body), 422) != ""


@pytest.mark.parametrize(
    "body",
    [
        {"source_task_ids": ["task_a"] * 100, "labels": ["a" * 10_000] * 100},
        {"source_task_ids": ["task_a"] * 2, "layout": "999999x999999"},
        {"source_task_ids": ["task_a"] * 2, "layout": "1x999999", "spacing": 2000},
        {"source_task_ids": ["task_a"] * 2, "spacing": 10**9},
        {"source_task_ids": ["task_a"] * 2, "label_font_size": 10**9},
        {"source_task_ids": ["task_a"] * 2, "label_font_size": 0},
    ],
)
def test_a_composite_too_large_is_a_task_that_fails(warm: InProcess, body: dict[str, Any]):
    task = warm("POST", "/api/composite", json=body, headers=KEY).json()["task_id"]
    status = warm("GET", f"/api/tasks/{task}", headers=KEY).json()
    assert (status["status"], status["error"] != "") == ("failed", True)


def test_composites_of_composites_do_not_multiply(warm: InProcess):
    """Forty doublings are forty drawings, not 2 to the 40th."""
    first, second, seen = "task_a", "task_b", set[str]()
    for _ in range(40):
        body = {"source_task_ids": [first, second], "layout": "2x1", "spacing": 0, "label_font_size": 1}
        answer = warm("POST", "/api/composite", json=body, headers=KEY)
        if answer.status_code != 202:  # the last one was refused for its size, and so has no image
            break
        first = second = answer.json()["task_id"]
        seen.add(warm("GET", f"/api/tasks/{first}", headers=KEY).json()["status"])
    assert seen <= {"completed", "failed"}


@pytest.mark.parametrize(
    "url",
    ["http://[::ffff:169.254.169.254]/", "http://127.0.0.1:99999/", "http://2130706433:9/", "http://127.0.0.1:9/%0d%0aHost:x",
     "file:///etc/passwd", "http://" + "a" * 5000 + "/", "http://0177.0.0.1:1/\x00"],
)  # fmt: skip
def test_a_hostile_webhook_is_tried_and_noted(warm: InProcess, url: str):
    body = {"description": "Draw a box.", "webhook_url": url}
    task = warm("POST", "/api/optimize-prompt", json=body, headers=KEY).json()["task_id"]
    warm.world.clock.advance(80)
    row = warm("GET", f"/api/admin/history/{task}", headers=ADMIN).json()
    assert (row["webhook_status"], row["webhook_attempts"]) == ("failed", 4)
    assert row["webhook_last_error"] in ("address not allowed", "invalid URL", "connection refused", "host not found",
                                           "invalid header")  # fmt: skip
