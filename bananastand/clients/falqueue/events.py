"""Reads a stream of statuses, and checks the signatures of webhooks."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping

from pydantic import ValidationError

from ..request import ClientRequest
from .addresses import address_of, logs_query
from .models import RequestStatus, WebhookKeys

__all__ = ["read_event", "status_events", "verify_webhook"]

TOLERANCE = 300.0  # seconds


def status_events(model: str, request_id: str, *, logs: bool | None = None) -> ClientRequest[RequestStatus]:
    """Return the request of a stream of statuses, which `FalQueue.stream` reads."""
    path = f"{address_of(model, request_id)}/status/stream"
    return ClientRequest(RequestStatus, "GET", path, logs_query(logs), headers={"accept": "text/event-stream"})


def read_event(line: str) -> RequestStatus | None:
    """Read a line of server-sent events; None for a comment or an empty line.

    Raises:
        ValueError: The line is no status.
    """
    name, _, value = line.partition(":")
    if name != "data":
        return None
    try:
        return RequestStatus.model_validate_json(value.strip())
    except ValidationError as error:
        raise ValueError(f"the event is no status: {error.errors(include_url=False)[0]['msg']}") from None


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    keys: WebhookKeys,
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
) -> bool:
    """Check the signature of a webhook and its age. Needs the package cryptography.

    Source: docs.fal.ai, webhooks, verifying your webhook.

    Args:
        body: The body as it was received.
        headers: The headers, with names in any case.
        keys: What `get_webhook_keys` returned; it may be kept for a day.
        tolerance: Seconds that the timestamp may be off.
        now: Seconds since 1970; by default the present.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    found = {name.lower(): value for name, value in headers.items()}
    names = [f"x-fal-webhook-{name}" for name in ("request-id", "user-id", "timestamp", "signature")]
    try:
        request_id, user_id, timestamp, signature = (found[name] for name in names)
        age = abs((time.time() if now is None else now) - int(timestamp))
        signed = bytes.fromhex(signature)
    except (KeyError, ValueError):
        return False
    if age > tolerance:
        return False
    message = "\n".join((request_id, user_id, timestamp, hashlib.sha256(body).hexdigest())).encode()
    for key in keys.keys:
        try:
            public = base64.urlsafe_b64decode(key.x + "=" * (-len(key.x) % 4))
            Ed25519PublicKey.from_public_bytes(public).verify(signed, message)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False
