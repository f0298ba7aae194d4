"""What fal.ai's queue returns, as its contract says. The output of a model is a dict: each model has its own."""

from __future__ import annotations

from typing import Literal

from ..response import ResponseModel

__all__ = ["Cancellation", "Log", "Metrics", "Priority", "RequestStatus", "Upload", "WebhookKey", "WebhookKeys"]

Priority = Literal["normal", "low"]


class Log(ResponseModel):
    """A line that a runner wrote."""

    message: str
    timestamp: str
    level: Literal["STDERR", "STDOUT", "ERROR", "INFO", "WARN", "DEBUG"] | str | None = None
    source: str | None = None


class Metrics(ResponseModel):
    """Seconds that a completed request ran."""

    inference_time: float | None = None


class RequestStatus(ResponseModel):
    """A request, where it is, and the addresses of its operations; `error` says why it failed."""

    status: Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"] | str
    request_id: str
    response_url: str
    status_url: str
    cancel_url: str
    queue_position: int | None = None
    gateway_request_id: str | None = None
    logs: list[Log] | None = None
    metrics: Metrics | None = None
    error: str | None = None
    error_type: str | None = None

    @property
    def is_completed(self) -> bool:
        """Whether the result, or an error in its place, can be fetched."""
        return self.status == "COMPLETED"


class Cancellation(ResponseModel):
    """OK where the request was still in the queue, CANCELLATION_REQUESTED where it was on a runner."""

    status: Literal["OK", "CANCELLATION_REQUESTED"] | str


class Upload(ResponseModel):
    """Where to put a file, and where it can then be read."""

    upload_url: str
    file_url: str


class WebhookKey(ResponseModel):
    """A public key of webhook signatures; `x` is its 32 bytes in base64url."""

    kty: str
    crv: str
    x: str
    use: str | None = None
    alg: str | None = None
    kid: str | None = None


class WebhookKeys(ResponseModel):
    """The public keys of webhook signatures."""

    keys: list[WebhookKey]
