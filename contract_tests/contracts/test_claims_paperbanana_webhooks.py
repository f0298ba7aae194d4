"""The mock keeps each claim of claims/paperbanana.yaml on webhooks, over HTTP and in virtual time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

import bananastand_mocks
from bananastand_mocks.kernel.deliveries import Deliveries
from bananastand_mocks.running import Endpoint, MockSession
from contracts import contract, errors
from paper_pdf import paper
from paperbanana_caller import DIAGRAM, PLOT, PaperBananaCaller

CONTRACT = contract("paperbanana")
SCHEMA = CONTRACT["components"]["schemas"]["WebhookPayload"]


@pytest.fixture
def call() -> PaperBananaCaller:
    return PaperBananaCaller()


class Receiver:
    """A webhook's receiver: keeps what it gets, and answers with these statuses, then always with the last."""

    def __init__(self, server: HTTPServer, *statuses: int) -> None:
        self.url = server.url_for("/hook")
        self.statuses = list(statuses or (200,))
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        server.expect_request("/hook", method="POST").respond_with_handler(self.take)

    def take(self, request: Request) -> Response:
        self.requests.append(request)
        self.bodies.append(request.get_data())
        return Response(status=self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])

    @property
    def payload(self) -> Any:
        """Of the only call."""
        (body,) = self.bodies
        return json.loads(body)


def history(call: PaperBananaCaller, task: str) -> tuple[Any, ...]:
    row = call.ok("GET", f"/api/admin/history/{task}")
    return tuple(row[f"webhook_{name}"] for name in ("status", "attempts", "last_error"))


def waits(call: PaperBananaCaller, task: str) -> list[float]:
    return call.world.journal.deliveries(task).waits


def test_paperbanana_webhook_key_default(call: PaperBananaCaller, httpserver: HTTPServer):
    receiver = Receiver(httpserver)
    call.key = call.new_key(webhook_url=receiver.url)
    task = call.submit()
    call.submit(webhook_url="")
    call.world.clock.advance(1)
    assert [json.loads(body)["task_id"] == task for body in receiver.bodies] == [True, False]


def test_paperbanana_webhook_request_override(call: PaperBananaCaller, httpserver: HTTPServer):
    receiver = Receiver(httpserver)
    call.key = call.new_key(webhook_url="http://127.0.0.1:9/")
    bodies = {"/api/plot": PLOT, "/api/generate": DIAGRAM, "/api/optimize-prompt": {"description": "Draw."},
             "/api/generate-from-pdf": {"pdf_base64": base64.b64encode(paper()).decode(), "caption": "a"}}  # fmt: skip
    tasks = [call.submit(path, **body, webhook_url=receiver.url) for path, body in bodies.items()]
    call.world.clock.advance(0)
    tasks.append(call.submit("/api/composite", source_task_ids=tasks[:2], webhook_url=receiver.url))
    call.world.clock.advance(0)
    assert [json.loads(body)["task_id"] for body in receiver.bodies] == tasks
    kinds = ["statistical_plot", "methodology", "prompt_optimization", "methodology", "composite"]
    assert [json.loads(body)["diagram_type"] for body in receiver.bodies] == kinds


def test_paperbanana_webhook_payload(call: PaperBananaCaller, httpserver: HTTPServer):
    receiver = Receiver(httpserver)
    call.world.tasks.finish_after_seconds(85)
    task = call.submit(webhook_url=receiver.url)
    call.world.clock.advance(84)
    assert receiver.bodies == []
    call.world.clock.advance(1)
    description = call.task(task)["description"]
    assert list(receiver.payload.items()) == [
        ("event", "task.completed"),
        ("task_id", task),
        ("status", "completed"),
        ("diagram_type", "statistical_plot"),
        ("description", description),
        ("image_url", f"http://mock/api/tasks/{task}/image"),
        ("image_base64", None),
        ("error", None),
        ("created_at", "2026-01-01T00:00:00+00:00"),
        ("completed_at", "2026-01-01T00:01:25+00:00"),
    ]
    assert errors(CONTRACT, SCHEMA, receiver.payload) == []
    assert receiver.bodies == [json.dumps(receiver.payload).encode()]


def test_paperbanana_webhook_headers(call: PaperBananaCaller, httpserver: HTTPServer):
    receiver = Receiver(httpserver)
    call.submit(webhook_url=receiver.url)
    call.world.clock.advance(0)
    headers = receiver.requests[0].headers
    assert headers.getlist("User-Agent") == ["PaperBanana-Webhook/0.1.2"]
    assert headers["Content-Type"] == "application/json"
    assert headers["X-PaperBanana-Event"] == "task.completed"
    assert "X-PaperBanana-Signature" not in headers
    assert "Authorization" not in headers


def test_paperbanana_webhook_signature(call: PaperBananaCaller, httpserver: HTTPServer):
    receiver = Receiver(httpserver, 500, 200)
    call.key = call.new_key(webhook_url=receiver.url, webhook_secret="first")
    call.submit()
    call.world.clock.advance(0)
    call.ok("PATCH", f"/api/admin/keys/{call.key}", {"webhook_secret": "second"})
    call.world.clock.advance(5)
    for body, request, secret in zip(receiver.bodies, receiver.requests, (b"first", b"second"), strict=True):
        expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        assert request.headers["X-PaperBanana-Signature"] == expected
    call.ok("PATCH", f"/api/admin/keys/{call.key}", {"webhook_secret": ""})
    call.submit()
    call.world.clock.advance(0)
    assert "X-PaperBanana-Signature" not in receiver.requests[2].headers


def test_paperbanana_webhook_include_image(call: PaperBananaCaller, httpserver: HTTPServer):
    receiver = Receiver(httpserver)
    drawn = call.submit(webhook_url=receiver.url, webhook_include_image=True)
    text = {"description": "Draw.", "webhook_url": receiver.url, "webhook_include_image": True}
    call.submit("/api/optimize-prompt", **text)
    call.world.clock.advance(0)
    with_image, without = (json.loads(body) for body in receiver.bodies)
    assert base64.b64decode(with_image["image_base64"]) == call("GET", f"/api/tasks/{drawn}/image").content
    assert with_image["image_url"] == f"http://mock/api/tasks/{drawn}/image"
    assert (without["image_base64"], without["image_url"]) == (None, None)


def test_paperbanana_webhook_failed_task(call: PaperBananaCaller, httpserver: HTTPServer):
    receiver = Receiver(httpserver)
    call.world.tasks.fail_next(1, "no brush at hand")
    call.submit(webhook_url=receiver.url, webhook_include_image=True)
    call.world.clock.advance(0)
    payload = receiver.payload
    assert (payload["event"], payload["status"], payload["error"]) == ("task.failed", "failed", "no brush at hand")
    assert (payload["image_url"], payload["image_base64"], payload["description"]) == (None, None, None)
    assert receiver.requests[0].headers["X-PaperBanana-Event"] == "task.failed"
    assert errors(CONTRACT, SCHEMA, payload) == []


def test_paperbanana_webhook_retry_1(call: PaperBananaCaller, httpserver: HTTPServer):
    receiver = Receiver(httpserver, 500, 200)
    task = call.submit(webhook_url=receiver.url)
    call.world.clock.advance(4.9)
    assert len(receiver.bodies) == 1
    call.world.clock.advance(0.1)
    assert waits(call, task) == [0, 5]
    assert receiver.bodies[0] == receiver.bodies[1]


def test_paperbanana_webhook_retry_2(call: PaperBananaCaller, httpserver: HTTPServer):
    receiver = Receiver(httpserver, 500, 503, 200)
    task = call.submit(webhook_url=receiver.url)
    call.world.clock.advance(19.9)
    assert len(receiver.bodies) == 2
    call.world.clock.advance(3600)
    assert waits(call, task) == [0, 5, 15]


def test_paperbanana_webhook_retry_3(call: PaperBananaCaller, httpserver: HTTPServer):
    receiver = Receiver(httpserver, 500)
    task = call.submit(webhook_url=receiver.url)
    call.world.clock.advance(79.9)
    assert len(receiver.bodies) == 3
    call.world.clock.advance(86400)
    assert waits(call, task) == [0, 5, 15, 60]
    assert len(receiver.bodies) == 4


def test_paperbanana_webhook_retry_when(call: PaperBananaCaller, httpserver: HTTPServer):
    for status, tries in ((399, 1), (204, 1), (302, 1), (400, 4), (404, 4), (410, 4), (500, 4)):
        httpserver.clear()
        receiver = Receiver(httpserver, status)
        task = call.submit(webhook_url=receiver.url)
        call.world.clock.advance(80)
        assert (status, len(receiver.bodies)) == (status, tries)
        assert len(waits(call, task)) == tries
    nobody = call.submit(webhook_url="http://127.0.0.1:9/")
    call.world.clock.advance(80)
    assert waits(call, nobody) == [0, 5, 15, 60]
    assert history(call, nobody) == ("failed", 4, "connection refused")


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://192.0.2.1/hook", "address not allowed"),
        ("http://169.254.169.254/latest/meta-data", "address not allowed"),
        ("http://0x0a000001/", "address not allowed"),
        ("ftp://127.0.0.1/", "invalid URL"),
        ("not an address", "invalid URL"),
        ("http://user:secret@127.0.0.1/", "credentials in URL"),
    ],
)
def test_paperbanana_webhook_address(call: PaperBananaCaller, url: str, error: str):
    task = call.submit(webhook_url=url)
    call.world.clock.advance(80)
    assert history(call, task) == ("failed", 4, error)
    assert {delivery.error for delivery in call.world.journal.deliveries(task)} == {error}


def test_paperbanana_webhook_history(call: PaperBananaCaller, httpserver: HTTPServer):
    receiver = Receiver(httpserver, 502, 200)
    without = call.submit()
    task = call.submit(webhook_url=receiver.url)
    assert history(call, without) == history(call, task) == (None, 0, None)
    call.world.clock.advance(0)
    assert history(call, task) == ("retrying", 1, "HTTP 502")
    call.world.clock.advance(5)
    assert history(call, task) == ("delivered", 2, None)
    assert history(call, without) == (None, 0, None)
    row = call.ok("GET", f"/api/admin/history/{task}")
    assert (row["webhook_url"], row["webhook_include_image"]) == (receiver.url, 0)


@pytest.fixture
def refuser() -> Iterator[str]:
    """A cheap receiver that answers every request with 500."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    line, _ = listener.accept()
                    with line:
                        line.recv(65536)
                        line.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)


def test_the_whole_schedule_takes_less_than_fifty_milliseconds(call: PaperBananaCaller, refuser: str):
    """Drawing is excluded: the same plot was drawn before."""
    call.submit(webhook_url=refuser)
    call.world.clock.advance(80)
    best = 9.0
    for _ in range(10):
        task = call.submit(webhook_url=refuser)
        began = time.perf_counter()
        call.world.clock.advance(seconds=80)
        best = min(best, time.perf_counter() - began)
        assert waits(call, task) == [0, 5, 15, 60]
    assert best < 0.05


def test_a_quota_of_three_over_a_month_takes_less_than_fifty_milliseconds(call: PaperBananaCaller):
    """Drawing is excluded: the plot was drawn before."""
    call.task(call.submit())
    best = 9.0
    for _ in range(5):
        call.key = call.new_key(quota=3)
        began = time.perf_counter()
        statuses = [call("POST", "/api/plot", PLOT).status_code for _ in range(4)]
        call.world.clock.advance(31 * 86400)
        statuses.append(call("POST", "/api/plot", PLOT).status_code)
        best = min(best, time.perf_counter() - began)
        assert statuses == [202, 202, 202, 403, 403]
    assert best < 0.05


def deliveries(at: Endpoint, stand: MockSession, hook: str, count: int, seconds: float) -> Deliveries:
    """Those of a new task, awaited in real time, and by nothing but waiting."""
    headers = {"authorization": f"Bearer {at.key}"}
    body = {"description": "Draw a box.", "webhook_url": hook}
    task = httpx2.post(f"{at.base_url}/api/optimize-prompt", json=body, headers=headers).json()["task_id"]
    until = time.monotonic() + seconds
    while len(found := stand.journal.deliveries(task)) < count:
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def test_webhooks_are_sent_in_real_time_without_a_request(refuser: str):
    with bananastand_mocks.start("paperbanana", virtual=False) as server:
        stand, at = server.default, server.endpoint("paperbanana")
        stand.world.settings |= {"paperbanana.seconds": [0.1, 0.1], "paperbanana.webhook_waits": [0.2, 0.1]}
        first, second, third = deliveries(at, stand, refuser, 3, 30).waits
        assert (first, second >= 0.2, third >= 0.1) == (0, True, True)


@pytest.mark.slow
def test_the_schedule_in_real_time(refuser: str):
    with bananastand_mocks.start("paperbanana", virtual=False) as server:
        found = deliveries(server.endpoint("paperbanana"), server.default, refuser, 4, 120)
    assert [item.status for item in found] == [500] * 4
    for waited, expected in zip(found.waits, [0, 5, 15, 60], strict=True):
        assert 0 <= waited - expected < 2
