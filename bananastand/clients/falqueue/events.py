"""Reads a stream of statuses, and checks the signatures of webhooks."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ..clock import ServerClock
from ..errors import APIConnectionError, APIResponseError, ClockStopped
from ..request import ClientRequest
from ..response import RawResponse
from ..session import ClientSession
from .addresses import address_of, logs_query
from .models import RequestStatus, WebhookKeys

__all__ = ["EventStream", "verify_webhook"]

TOLERANCE = 300.0  # seconds


class EventStream:
    """A stream of statuses, without the connection that it comes through.

    Args:
        session: The client's session, with the options of the call.
        model: Model id, with or without its path.
        request_id: Id of a request.
        logs: Include the log lines that are new in each status.
    """

    def __init__(self, session: ClientSession, model: str, request_id: str, logs: bool | None) -> None:
        self._session, self._last = session, RequestStatus()
        self._clock: ServerClock | None = None
        self._request = ClientRequest[RequestStatus](
            RequestStatus,
            "GET",
            f"{address_of(model, request_id)}/status/stream",
            logs_query(logs),
            headers={"accept": "text/event-stream"},
        )
        self.prepared = session.prepare(self._request)

    @property
    def options(self) -> dict[str, Any]:
        """What the HTTP library needs to open the stream."""
        prepared = self.prepared
        headers = dict(prepared.headers)
        return {"method": "GET", "url": prepared.url, "headers": headers, "timeout": prepared.timeout}

    def check(self, raw: RawResponse) -> None:
        """Refuse a response that is no stream; its content is the body of an error, else empty."""
        if not 200 <= raw.status < 300:
            self._session.read_response(self._request, self.prepared, raw)
        if not (kind := raw.headers.get("content-type", "no type")).startswith("text/event-stream"):
            raise APIResponseError(f"the answer is no stream of events: {kind}", request=self.prepared.label)
        self._clock = ServerClock.of(raw.headers)

    def event(self, line: str) -> RequestStatus | None:
        """Read a line of server-sent events; None for a comment or an empty line."""
        name, _, value = line.partition(":")
        if name != "data":
            return None
        try:
            self._last = RequestStatus.model_validate_json(value.strip())
        except ValidationError as error:
            text = f"the event is no status: {error.errors(include_url=False)[0]['msg']}"
            raise APIResponseError(text, request=self.prepared.label, body=line) from None
        return self._last

    def check_clock(self) -> None:
        """End a stream that waits for a mock's clock which stands still."""
        clock = self._clock
        if clock is not None and not clock.moves and not self._last.is_completed:
            raise ClockStopped(f"the request is {self._last.status}, and {clock.advice()}", self._last)

    def check_end(self) -> None:
        """Refuse the end of a stream before the request was completed."""
        if not self._last.is_completed:
            text = f"the stream broke off while the request was {self._last.status}"
            raise APIConnectionError(text, request=self.prepared.label)


def verify_webhook(
    body: bytes | str,
    headers: Mapping[str, str],
    keys: WebhookKeys,
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
) -> bool:
    """Check the signature of a webhook and its age. Needs the package cryptography.

    Source: docs.fal.ai, webhooks, verifying your webhook.

    Args:
        body: The body as it was received, bytes or text.
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
    except (KeyError, ValueError, OverflowError):
        return False
    if age > tolerance:
        return False
    received = body.encode() if isinstance(body, str) else body
    message = "\n".join((request_id, user_id, timestamp, hashlib.sha256(received).hexdigest())).encode(errors="replace")
    for key in keys.keys:
        try:
            public = base64.urlsafe_b64decode((key.x or "") + "==")  # a key of another kind has no x
            Ed25519PublicKey.from_public_bytes(public).verify(signed, message)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False
