"""One error for work that failed, and webhooks that are checked and read."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from bananastand.clients import Banana, BananaDev, PaperBanana, errors
from bananastand.clients.paperbanana import calls, parse_webhook

EVENT = {
    "event": "task.completed",
    "task_id": "0a1b2c3d",
    "status": "completed",
    "diagram_type": "methodology",
    "description": "An encoder feeds a decoder.",
    "image_url": "https://api.paperbanana.me/api/tasks/0a1b2c3d/image",
    "image_base64": None,
    "error": None,
    "created_at": "2026-02-15T10:30:00+00:00",
    "completed_at": "2026-02-15T10:31:25+00:00",
}


def test_a_failed_run_of_banana_is_a_failed_task(banana_native: Any, stand: Any) -> None:
    stand.tasks.fail_next(message="out of memory")
    with (
        Banana(banana_native.key, base_url=banana_native.base_url) as client,
        pytest.raises(errors.TaskFailed, match="error: out of memory") as caught,
    ):
        client.run_and_wait("value", {"prompt": "a"})

    assert isinstance(caught.value, errors.APIRefusedError)
    assert (caught.value.task.message, caught.value.task.model_outputs) == ("error: out of memory", None)


def test_a_failed_run_behind_the_gateway_is_a_failed_task(bananadev: Any, stand: Any) -> None:
    stand.tasks.finish_after_polls(1)
    with BananaDev(bananadev.key, base_url=bananadev.base_url) as client:
        started = client.start_run("value", {"prompt": "a"}, start_only=True)
        stand.tasks.fail_next(message="out of memory")
        failing = client.start_run("value", {"prompt": "b"}, start_only=True)

        assert client.wait_for_run(started.call_id or "", "value").finished
        with pytest.raises(errors.TaskFailed) as caught:
            client.wait_for_run(failing.call_id or "", "value")
    assert caught.value.task.message == "error: out of memory"


def test_a_failed_task_of_paperbanana_is_the_same_error(paperbanana: Any, stand: Any) -> None:
    stand.tasks.fail_next(message="no model")
    with (
        PaperBanana(paperbanana.key, base_url=paperbanana.base_url) as client,
        pytest.raises(errors.TaskFailed, match="no model") as caught,
    ):
        client.run_and_wait(calls.create_plot({"a": 1}, "one bar"))

    assert caught.value.task.status == "failed"


# Webhooks --------------------------------------------------------------------------------------------------------


def signed(body: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def test_a_webhook_is_read_into_its_event() -> None:
    body = json.dumps(EVENT).encode()
    event = parse_webhook(body, signed(body, "hush"), "hush")

    assert (event.event, event.status, event.image_url) == ("task.completed", "completed", EVENT["image_url"])
    assert event.model_dump(exclude_unset=True) == EVENT
    assert parse_webhook(body.decode(), signed(body, "hush"), "hush") == event


def test_an_event_of_a_later_version_is_read_too() -> None:
    body = json.dumps({**EVENT, "event": "task.cancelled", "status": "cancelled", "reason": "quota"}).encode()
    event = parse_webhook(body, signed(body, "hush"), "hush")

    assert (event.event, event.status, event.model_extra) == ("task.cancelled", "cancelled", {"reason": "quota"})


@pytest.mark.parametrize(
    ("body", "secret", "text"),
    [
        (json.dumps(EVENT).encode(), "other", "not signed with this secret; answer it with 401"),
        (json.dumps(EVENT).encode(), "", "no secret to check the webhook with"),
        (b"{}", "hush", "the webhook is no event: event: Field required"),
        (b"not JSON", "hush", "the webhook is no event: Invalid JSON"),
        (b"[]", "hush", "the webhook is no event: Input should be an object"),
    ],
)
def test_what_is_no_event_of_ours_is_refused(body: bytes, secret: str, text: str) -> None:
    with pytest.raises(errors.InvalidWebhook, match=text):
        parse_webhook(body, signed(body, "hush"), secret)


@pytest.mark.parametrize("signature", [None, "", "sha256=", "sha1=00"])
def test_a_webhook_without_its_signature_is_refused(signature: str | None) -> None:
    with pytest.raises(errors.InvalidWebhook, match="not signed"):
        parse_webhook(json.dumps(EVENT).encode(), signature, "hush")
