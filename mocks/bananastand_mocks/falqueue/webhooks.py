"""Webhooks: what is sent when a request ends, how it is signed, when it is sent again.

The row of a request is the outbox: each attempt is noted there before the next is planned. The signature is made with
ED25519 over request id, user id, timestamp and the SHA-256 of the body. The key is the same on every server, and the
timestamp is that of the wall clock: a receiver compares it with its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from concurrent.futures import Future
from functools import cache
from typing import TYPE_CHECKING, Any

from bananastand import outbound
from bananastand.contracts.redaction import redact_text

from ..kernel.background import BackgroundJob, WorkerThreads
from ..kernel.world import World
from .outputs import output_of
from .state import Row, requests, setting

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["DELIVER", "WebhookSender", "get_webhook_keys", "outbox", "webhook_body"]

DELIVER = "falqueue.deliver"
USER = "bananastand"
TIMEOUT = 15.0  # seconds


def get_webhook_keys() -> dict[str, Any]:
    """Return the public key of the signatures, as a JSON Web Key Set."""
    public = _signing_key().public_key().public_bytes_raw()
    x = base64.urlsafe_b64encode(public).rstrip(b"=").decode()
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": USER, "x": x}]}


def outbox(url: str, base: str) -> Row:
    """Return the row of a delivery that is still to come; `base` is what the addresses of files begin with."""
    return {"url": url, "base": base, "attempts": 0}


def webhook_body(row: Row) -> dict[str, Any]:
    """Return the body of a webhook: the output, or the error with the body of the error."""
    body: dict[str, Any] = {"request_id": row["request_id"], "gateway_request_id": row["request_id"]}
    if row["error"] is None:
        return body | {"status": "OK", "payload": output_of(row, row["webhook"]["base"])}
    return body | {"status": "ERROR", "error": row["error"], "payload": row["output"]}


class WebhookSender:
    """Delivers webhooks to the addresses that its policy permits."""

    def __init__(self, policy: outbound.AddressPolicy) -> None:
        self.policy = policy
        self.threads = WorkerThreads("falqueue-posting", 16)

    def begin(self, world: World, row: Row) -> None:
        """Have the webhook of a completed request delivered, if it has one."""
        if row["webhook"] is not None:
            world.clock.after(0, DELIVER, request_id=row["request_id"], attempts=0)

    def deliver(self, world: World, details: dict[str, Any]) -> BackgroundJob | None:
        """Make the next attempt; None where it has been made."""
        row = requests(world).get(details["request_id"])
        if row is None or row["webhook"]["attempts"] != details["attempts"]:
            return None
        url, snapshot = row["webhook"]["url"], dict(row)

        def work() -> outbound.Attempt:
            body = json.dumps(webhook_body(snapshot)).encode()
            headers = _headers(snapshot["request_id"], body)
            return outbound.deliver_once(url, body, policy=self.policy, headers=headers, timeout=TIMEOUT)

        return BackgroundJob(self.threads, work, lambda outcome: self._record(world, row, outcome))

    def _record(self, world: World, row: Row, outcome: Future[outbound.Attempt]) -> None:
        """Note the attempt, and plan the next where it failed and one is left."""
        waits, now = setting(world, "webhook_waits")[row["webhook"]["attempts"] :], world.clock.now()
        if (raised := outcome.exception()) is not None:
            status, error = None, f"{type(raised).__name__}: {raised}"[:200]
        else:
            attempt = outcome.result()
            status, error = attempt.status, attempt.error
        row["webhook"]["attempts"] += 1
        world.journal.record_delivery(now, row["request_id"], redact_text(row["webhook"]["url"]), status, error)
        if error is not None and waits:
            world.clock.after(waits[0], DELIVER, request_id=row["request_id"], attempts=row["webhook"]["attempts"])


@cache
def _signing_key() -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"bananastand: key of fal's webhooks").digest())


def _headers(request_id: str, body: bytes) -> list[tuple[str, str]]:
    timestamp = str(int(time.time()))
    message = "\n".join((request_id, USER, timestamp, hashlib.sha256(body).hexdigest()))
    return [
        ("Content-Type", "application/json"),
        ("X-Fal-Webhook-Request-Id", request_id),
        ("X-Fal-Webhook-User-Id", USER),
        ("X-Fal-Webhook-Timestamp", timestamp),
        ("X-Fal-Webhook-Signature", _signing_key().sign(message.encode()).hex()),
    ]
