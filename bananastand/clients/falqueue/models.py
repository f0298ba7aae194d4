"""What fal.ai's queue returns, as its contract says. The output of a model is a dict: each model has its own."""

from __future__ import annotations

from typing import Annotated, Literal

from ..fields import Inferred, InferredField, InferredList, Open
from ..response import ResponseModel

__all__ = ["Cancellation", "Log", "Metrics", "Priority", "RequestStatus", "Upload", "WebhookKey", "WebhookKeys"]

Priority = Literal["normal", "low"]


State = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


class Log(ResponseModel):
    """A line that a runner wrote."""

    message: str
    timestamp: Inferred[str] = None
    level: Open[Literal["STDERR", "STDOUT", "ERROR", "INFO", "WARN", "DEBUG"]] | None = None
    source: str | None = None


class Metrics(ResponseModel):
    """Seconds that a completed request ran."""

    inference_time: float | None = None


class RequestStatus(ResponseModel):
    """A request, where it is, and the addresses of its operations; `error` says why it failed.

    An answer to `submit` may have no `status`, and one to `status` no `request_id`; these are then IN_QUEUE and empty.
    """

    status: Annotated[Open[State], InferredField(nullable=False)] = "IN_QUEUE"
    request_id: Annotated[str, InferredField(nullable=False)] = ""
    response_url: Inferred[str] = None
    status_url: Inferred[str] = None
    cancel_url: Inferred[str] = None
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

    status: Open[Literal["OK", "CANCELLATION_REQUESTED"]]


class Upload(ResponseModel):
    """Where to put a file, and where it can then be read."""

    upload_url: str
    file_url: str


class WebhookKey(ResponseModel):
    """A public key of webhook signatures; `x` is its 32 bytes in base64url, which a key of another kind lacks."""

    kty: Inferred[str] = None
    crv: Inferred[str] = None
    x: Inferred[str] = None
    use: str | None = None
    alg: str | None = None
    kid: str | None = None


class WebhookKeys(ResponseModel):
    """The public keys of webhook signatures."""

    keys: InferredList[WebhookKey] = []
