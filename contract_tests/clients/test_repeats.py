"""What is repeated although it changes something, waits by date, and what the log tells of it."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer

from bananastand.clients import Banana, FalAI, GoBananas, PaperBanana, errors
from bananastand.clients.falai import AsyncFalAI
from bananastand.clients.gobananas import AsyncGoBananas
from bananastand.clients.gobananas import calls as bananas
from bananastand.clients.provider import parse_retry_after
from bananastand.clients.session import Pause

CREATED = {"images": [], "session_id": "session-1"}
KINDS = pytest.mark.parametrize("kind", ["sync", "async"])


def create(kind: str, answers: list[Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, int, list[float]]:
    """Create an image against these answers: the result or the error, the number of tries, and the pauses."""
    tries, pauses = list[httpx2.Request](), list[float]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        tries.append(request)
        reply = answers[min(len(tries), len(answers)) - 1]
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def sleep(pause: Pause) -> None:
        pauses.append(pause.seconds)

    monkeypatch.setattr(GoBananas, "_sleep", staticmethod(lambda pause: pauses.append(pause.seconds)))
    monkeypatch.setattr(AsyncGoBananas, "_sleep", staticmethod(sleep))
    try:
        if kind == "sync":
            with GoBananas("key", transport=httpx2.MockTransport(answer)) as client:
                return client.create_image("a hill"), len(tries), pauses

        async def wait() -> Any:
            async with AsyncGoBananas("key", transport=httpx2.MockTransport(answer)) as client:
                return await client.create_image("a hill")

        return asyncio.run(wait()), len(tries), pauses
    except errors.APIError as error:
        return error, len(tries), pauses


@KINDS
@pytest.mark.parametrize(
    "broken", [httpx2.ConnectError("refused"), httpx2.ConnectTimeout("late"), httpx2.PoolTimeout("full")]
)
def test_a_change_is_repeated_where_no_connection_came_about(
    kind: str, broken: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, tries, pauses = create(kind, [broken, httpx2.Response(200, json=CREATED)], monkeypatch)

    assert (result.session_id, tries) == ("session-1", 2)
    assert 0.25 <= pauses[0] <= 0.5


@KINDS
@pytest.mark.parametrize(
    "broken", [httpx2.ReadTimeout("late"), httpx2.ReadError("reset"), httpx2.WriteError("reset"),
               httpx2.RemoteProtocolError("closed")],
)  # fmt: skip
def test_a_change_that_may_have_been_made_is_not_repeated(
    kind: str, broken: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, tries, _ = create(kind, [broken, httpx2.Response(200, json=CREATED)], monkeypatch)

    assert isinstance(error, errors.APIConnectionError)
    assert (error.sent, tries) == (True, 1)


@KINDS
@pytest.mark.parametrize(
    ("status", "headers", "tries"),
    [(429, {"retry-after": "3"}, 2), (429, {}, 1), (429, {"retry-after": "61"}, 1), (503, {"retry-after": "3"}, 1),
     (500, {}, 1)],
)  # fmt: skip
def test_a_change_is_repeated_after_a_429_that_says_when(
    kind: str, status: int, headers: dict[str, str], tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [httpx2.Response(status, json={"error": "no"}, headers=headers), httpx2.Response(200, json=CREATED)]
    result, number, pauses = create(kind, answers, monkeypatch)

    assert number == tries
    assert (pauses == []) == (tries == 1)
    if tries == 2:
        assert result.session_id == "session-1"
        assert 3.25 <= pauses[0] <= 3.5


def test_a_refused_connection_is_told_apart_from_one_that_broke() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        GoBananas("key", base_url=f"http://127.0.0.1:{port}", max_retries=0) as client,
        pytest.raises(errors.APIConnectionError) as caught,
    ):
        client.create_image("a hill")

    assert caught.value.sent is False


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("Wed, 21 Oct 2015 07:28:30 GMT", 30.0), ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
     ("Wednesday, 21-Oct-15 07:28:30 GMT", 30.0),
     ("7", 7.0), ("soon", None), ("", None), (None, None), ("Wed, 99 Oct 2015 07:28:00 GMT", None)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, now=1_445_412_480.0) == seconds  # 2015-10-21T07:28:00Z


def test_a_retry_after_by_date_is_waited_for() -> None:
    session = PaperBanana("pb_0").session
    error = errors.RateLimitError(
        "no", request="GET /", status=429, headers={"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, body=None
    )

    assert 30.25 <= (session.pause(bananas.get_profile(), 0, 0.0, error, 1_445_412_480.0) or 0) <= 30.5


# The log ---------------------------------------------------------------------------------------------------------


def test_the_log_has_method_path_status_and_wait_and_never_a_key(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, key = "at_r0123456789abcdef0123456789abcdef", "pb_00112233445566778899aabbccddeeff"
    monkeypatch.setattr(FalAI, "_sleep", staticmethod(lambda pause: None))
    httpserver.expect_ordered_request("/v1/models").respond_with_data("", status=503)
    httpserver.expect_ordered_request("/v1/models").respond_with_json({"result": {"models": [], "has_more": False}})
    httpserver.expect_ordered_request(f"/api/admin/keys/{key}").respond_with_json({"detail": "no"}, status=404)
    base = httpserver.url_for("").rstrip("/")
    caplog.set_level(logging.DEBUG)

    with FalAI(token, base_url=base) as fal:
        fal.list_models(limit=2)
    with (
        PaperBanana("pb_secret", admin_key="admin-secret", base_url=base.replace("//", "//user:secret@")) as paper,
        pytest.raises(errors.NotFoundError) as caught,
    ):
        paper.get_key(key)

    own = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "bananastand.clients"]
    url = f"GET {base}/v1/models"
    assert [level for level, _ in own] == ["DEBUG", "INFO", "DEBUG", "DEBUG"]
    assert own[0][1].startswith(f"{url} answered 503 in 0.")
    assert own[1][1].startswith(f"{url} failed (503), retry 1 in 0.")
    assert own[2][1].startswith(f"{url} answered 200 in 0.")
    assert own[3][1].startswith(f"GET {base}/api/admin/keys/pb_001... answered 404 in ")
    assert str(caught.value) == f"GET {base}/api/admin/keys/pb_001...: 404 no"
    ours = [record for record in caplog.records if not record.name.startswith(("werkzeug", "pytest_httpserver"))]
    assert {"bananastand.clients", "httpx2"} <= {record.name for record in ours}
    assert not [record for record in ours for secret in (token, key, "secret") if secret in record.getMessage()]


def test_the_address_of_an_upload_is_named_without_its_signature() -> None:
    with (
        Banana("key", max_retries=0, transport=httpx2.MockTransport(lambda request: httpx2.Response(403))) as banana,
        pytest.raises(errors.PermissionDeniedError) as caught,
    ):
        banana.put_upload("https://store.example.com/a.tar.gz?X-Signature=secret", b"a tar.gz")

    assert caught.value.request == "PUT https://store.example.com/a.tar.gz"


def test_an_asynchronous_client_logs_alike(caplog: pytest.LogCaptureFixture) -> None:
    async def wait() -> None:
        transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json={"result": {"models": []}}))
        async with AsyncFalAI("at_r1", transport=transport) as fal:
            await fal.list_models()

    caplog.set_level(logging.DEBUG, logger="bananastand.clients")
    began = time.monotonic()
    asyncio.run(wait())

    (record,) = [record for record in caplog.records if record.name == "bananastand.clients"]
    label, status, seconds = record.args  # type: ignore[misc]
    assert (label, status) == ("GET https://api.lowcodeapi.com/falai/v1/models", 200)
    assert 0 <= float(str(seconds)) <= time.monotonic() - began
