"""The calls of fal.ai's queue: one function for each operation, and the flows that take several."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..request import ClientRequest, without_none
from ..session import ClientSession, Flow
from ..waiting import wait
from .addresses import address_of, logs_query
from .models import Cancellation, Priority, RequestStatus, Upload, WebhookKeys

__all__ = [
    "cancel",
    "get_webhook_keys",
    "initiate_upload",
    "result",
    "run",
    "status",
    "submit",
    "subscribe",
    "upload",
]

POLL = 0.5  # seconds between two checks, as in fal's own client
RUN_SECONDS = 600.0


def submit(
    model: str,
    inputs: Mapping[str, Any],
    *,
    webhook_url: str | None = None,
    start_timeout: float | None = None,
    priority: Priority | None = None,
    hint: str | None = None,
) -> ClientRequest[RequestStatus]:
    """Put a request into a model's queue.

    Source: docs.fal.ai, asynchronous inference.

    Args:
        model: Model id with its path, such as fal-ai/flux/dev.
        inputs: Input of the model, JSON.
        webhook_url: URL that the result is posted to.
        start_timeout: Seconds after which a request that has not started fails, more than 0.1.
        priority: normal by default.
        hint: Requests with the same hint go to the same runner where possible.

    Returns:
        The request in the queue.

    Raises:
        AuthenticationError: 401: the key is missing or unknown.
        NotFoundError: 404: there is no such application.
        RateLimitError: 429: too many requests, after the retries.
    """
    seconds = None if start_timeout is None else str(start_timeout)
    headers = {
        "X-Fal-Request-Start-Timeout": seconds,
        "X-Fal-Request-Timeout": seconds,  # its older name
        "X-Fal-Queue-Priority": priority,
        "X-Fal-Runner-Hint": hint,
    }
    return ClientRequest(
        RequestStatus,
        "POST",
        f"/{quote(model)}",
        without_none(fal_webhook=webhook_url),
        dict(inputs),
        {name: value for name, value in headers.items() if value is not None},
    )


def status(model: str, request_id: str, *, logs: bool | None = None) -> ClientRequest[RequestStatus]:
    """Return the status of a request.

    Source: docs.fal.ai, asynchronous inference.

    Args:
        model: Model id, with or without its path.
        request_id: Id of a request.
        logs: Include the log lines.

    Raises:
        AuthenticationError: 401: the key is missing or unknown.
        NotFoundError: 404: there is no such request.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(RequestStatus, "GET", f"{address_of(model, request_id)}/status", logs_query(logs))


def result(model: str, request_id: str) -> ClientRequest[dict[str, Any]]:
    """Return the output of a completed request.

    Source: docs.fal.ai, asynchronous inference.

    Args:
        model: Model id, with or without its path.
        request_id: Id of a request.

    Returns:
        The model's output; of most image models `images`, a list of objects with `url`, `width` and `height`.

    Raises:
        BadRequestError: 400: the request is not completed.
        AuthenticationError: 401: the key is missing or unknown.
        NotFoundError: 404: there is no such request.
        UnprocessableError: 422: the model refused the input.
        RateLimitError: 429: too many requests, after the retries.
        RequestCancelledError: 499: the request was cancelled.
        ServerError: 5xx: the request failed.
    """
    return ClientRequest(dict[str, Any], "GET", address_of(model, request_id))


def cancel(model: str, request_id: str) -> ClientRequest[Cancellation]:
    """Remove a request from the queue, or stop it.

    Source: fal.ai/docs, cancel a request.

    Args:
        model: Model id, with or without its path.
        request_id: Id of a request.

    Raises:
        BadRequestError: 400: the request is completed.
        AuthenticationError: 401: the key is missing or unknown.
        NotFoundError: 404: there is no such request.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(Cancellation, "PUT", f"{address_of(model, request_id)}/cancel", idempotent=True)


def run(model: str, inputs: Mapping[str, Any]) -> ClientRequest[dict[str, Any]]:
    """Run a model without the queue, and return its output.

    Source: docs.fal.ai, synchronous inference.

    Args:
        model: Model id with its path.
        inputs: Input of the model, JSON.

    Raises:
        AuthenticationError: 401: the key is missing or unknown.
        NotFoundError: 404: there is no such application.
        UnprocessableError: 422: the model refused the input.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(dict[str, Any], "POST", f"/run/{quote(model)}", json=dict(inputs), timeout=RUN_SECONDS)


def initiate_upload(file_name: str, content_type: str, *, storage_type: str | None = None) -> ClientRequest[Upload]:
    """Announce an upload.

    Source: fal-client, upload.

    Args:
        file_name: Name of the file.
        content_type: Media type of the file.
        storage_type: gcs or fal-cdn-v3.

    Raises:
        AuthenticationError: 401: the key is missing or unknown.
        UnprocessableError: 422: an argument does not fit.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = {"file_name": file_name, "content_type": content_type}
    query = without_none(storage_type=storage_type)
    return ClientRequest(Upload, "POST", "/rest/storage/upload/initiate", query, body)


def get_webhook_keys() -> ClientRequest[WebhookKeys]:
    """Return the public keys of webhook signatures; needs no key.

    Source: docs.fal.ai, webhooks.

    Raises:
        ServerError: 500: the service is in trouble.
    """
    return ClientRequest(WebhookKeys, "GET", "/rest/.well-known/jwks.json", unsigned=True)


def subscribe(
    session: ClientSession,
    model: str,
    inputs: Mapping[str, Any],
    *,
    logs: bool | None = None,
    start_timeout: float | None = None,
    priority: Priority | None = None,
    hint: str | None = None,
    poll: float = POLL,
    deadline: float = 600.0,
    on_check: Callable[[RequestStatus], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Flow[dict[str, Any]]:
    """Submit a request, wait until it is completed, and return its output.

    Args:
        session: The client's session; a client passes its own.
        model: Model id with its path, such as fal-ai/flux/dev.
        inputs: Input of the model, JSON.
        logs: Include the log lines in the checked statuses.
        start_timeout: Seconds after which a request that has not started fails, more than 0.1.
        priority: normal by default.
        hint: Requests with the same hint go to the same runner where possible.
        poll: Seconds between two checks, from 0.
        deadline: Seconds after which waiting ends, from 0.
        on_check: Called with each checked status.
        cancelled: Returns true once waiting is to end; asked at least ten times a second.

    Raises:
        UnprocessableError: 422: the model refused the input.
        RequestCancelledError: 499: the request was cancelled.
        ServerError: 5xx: the request failed.
        DeadlineExceeded: The deadline is over; the work may go on.
        CallCancelled: `cancelled` returned true.
    """
    request = submit(model, inputs, start_timeout=start_timeout, priority=priority, hint=hint)
    submitted = yield from session.send(request)
    yield from wait(
        session,
        status(model, submitted.request_id, logs=logs),
        lambda state: state.is_completed,
        lambda state: f"request {submitted.request_id} is {state.status if state else 'not seen'}",
        poll=poll,
        deadline=deadline,
        on_check=on_check,
        cancelled=cancelled,
    )
    return (yield from session.send(result(model, submitted.request_id)))


def upload(session: ClientSession, path: str | Path, *, content_type: str | None = None) -> Flow[str]:
    """Upload a file for use in an input.

    Source: fal-client, upload.

    Args:
        session: The client's session; a client passes its own.
        path: The file.
        content_type: Its media type; by default that of its suffix.

    Returns:
        The address of the file.

    Raises:
        AuthenticationError: 401: the key is missing or unknown.
        PayloadTooLargeError: 413: the file is too large.
        RateLimitError: 429: too many requests, after the retries.
    """
    source = Path(path)
    kind = content_type or mimetypes.guess_type(source.name)[0] or "application/octet-stream"
    place = yield from session.send(initiate_upload(source.name, kind))
    yield from session.send(
        ClientRequest[None](
            None,
            "PUT",
            place.upload_url,
            headers={"content-type": kind},
            content=source.read_bytes(),
            unsigned=True,
            idempotent=True,
            read=lambda raw: None,
        )
    )
    return place.file_url
