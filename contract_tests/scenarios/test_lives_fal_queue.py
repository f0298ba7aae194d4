"""The life of a request in fal's queue, with both clients."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bananastand.clients import errors
from bananastand.clients.falqueue import AsyncFalQueue, FalQueue, verify_webhook
from bananastand.clients.falqueue.models import WebhookKey, WebhookKeys
from bananastand_mocks.running import MockSession
from both_clients import client_of

FLUX = "fal-ai/flux/dev"


@pytest.fixture(params=["sync", "async"])
def fal(request: pytest.FixtureRequest, fal_queue: Any) -> Iterator[Any]:
    with client_of(request.param, fal_queue, FalQueue, AsyncFalQueue) as client:
        yield client


def test_a_subscription_sees_every_status_and_returns_the_pictures(fal: Any, stand: MockSession) -> None:
    stand.tasks.finish_after_polls(2)
    seen: list[str] = []

    output = fal.subscribe(FLUX, {"prompt": "a cat"}, poll=0.01, on_check=lambda state: seen.append(state.status))

    assert seen == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    assert httpx2.get(output["images"][0]["url"]).headers["content-type"] == "image/jpeg"


def test_a_stream_ends_with_the_completed_request(fal: Any, stand: MockSession) -> None:
    stand.tasks.finish_after_polls(2)
    request = fal.submit(FLUX, {"prompt": "a cat"})

    states = list(fal.stream(FLUX, request.request_id, logs=True))

    assert [state.status for state in states] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    assert [[line.message for line in state.logs] for state in states] == [[], [f"Running {FLUX}"], ["Finished"]]
    assert states[-1].is_completed


def test_a_stream_of_an_unknown_request_is_an_error(fal: Any) -> None:
    with pytest.raises(errors.NotFoundError, match="404 Request not found"):
        list(fal.stream(FLUX, "nobody"))


def test_an_invalid_input_names_its_field(fal: Any) -> None:
    with pytest.raises(errors.UnprocessableError, match=r"422 body\.prompt: Field required"):
        fal.subscribe(FLUX, {}, poll=0.01)


def test_a_failed_request_is_an_error_of_the_server(fal: Any, stand: MockSession) -> None:
    stand.tasks.fail_next(1, "out of memory")

    with pytest.raises(errors.ServerError, match="500 out of memory"):
        fal.subscribe(FLUX, {"prompt": "a cat"}, poll=0.01)


def test_a_cancelled_request_has_no_result(fal: Any, stand: MockSession) -> None:
    stand.tasks.finish_after_seconds(60)
    request = fal.submit(FLUX, {"prompt": "a cat"})

    assert fal.cancel(FLUX, request.request_id).status == "OK"
    with pytest.raises(errors.RequestCancelledError):
        fal.result(FLUX, request.request_id)
    with pytest.raises(errors.BadRequestError, match="400 ALREADY_COMPLETED"):
        fal.cancel(FLUX, request.request_id)


def test_a_file_is_uploaded_and_read_again(fal: Any, tmp_path: Path) -> None:
    (tmp_path / "pear.txt").write_text("a pear")

    file = httpx2.get(fal.upload(tmp_path / "pear.txt"))

    assert (file.text, file.headers["content-type"]) == ("a pear", "text/plain")


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"  # of KEY, as RFC 8037 encodes it


def signed(body: bytes, timestamp: int) -> dict[str, str]:
    message = "\n".join(("r1", "u1", str(timestamp), hashlib.sha256(body).hexdigest()))
    return {
        "X-Fal-Webhook-Request-Id": "r1",
        "X-Fal-Webhook-User-Id": "u1",
        "X-Fal-Webhook-Timestamp": str(timestamp),
        "X-Fal-Webhook-Signature": KEY.sign(message.encode()).hex(),
    }


def test_a_webhook_is_verified_by_signature_and_age() -> None:
    other = WebhookKey(kty="OKP", crv="Ed25519", x="AAAA")
    keys = WebhookKeys(keys=[other, WebhookKey(kty="RSA"), WebhookKey(kty="OKP", crv="Ed25519", x=PUBLIC)])
    headers = signed(b"{}", 1000)

    assert verify_webhook(b"{}", headers, keys, now=1300)
    assert verify_webhook(b"{}", signed(b"{}", int(time.time())), keys)
    assert not verify_webhook(b"{}", headers, keys, now=1301)
    assert not verify_webhook(b"{} ", headers, keys, now=1000)
    assert not verify_webhook(b"{}", {**headers, "X-Fal-Webhook-User-Id": "u2"}, keys, now=1000)
    assert not verify_webhook(b"{}", {**headers, "X-Fal-Webhook-Signature": "no"}, keys, now=1000)
    assert not verify_webhook(b"{}", {**headers, "X-Fal-Webhook-Timestamp": "9" * 400}, keys, now=1000)
    assert not verify_webhook(b"{}", {**headers, "X-Fal-Webhook-Request-Id": "\ud800"}, keys, now=1000)
    assert not verify_webhook(b"{}", {}, keys, now=1000)
    assert verify_webhook("{}", headers, keys, now=1000)
    assert not verify_webhook(b"{}", headers, WebhookKeys(keys=[other]), now=1000)
