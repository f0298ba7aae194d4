"""Passes an HTTP request on to a project's app, as a call, and its answer back, streaming where the app streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bananastand.asgi import bodies
from bananastand.asgi.bodies import BodyBudget
from bananastand.asgi.departures import Departure, departure_of

from ..errors import PlatformError, TooBusy
from ..platform import Platform
from ..replicas.client import Headers
from ..scheduling import outcomes
from ..scheduling.pending_call import PendingCall
from ..store.bodies import RETRY_AFTER, FileBody, TooLarge
from ..store.calls import CallOutcome
from ..store.projects import Project
from .errors import json_error
from .headers import CALL_ID, answer_headers, app_headers

__all__ = [
    "TooLarge",
    "answer_of",
    "is_safe",
    "pass_on",
    "read_body",
    "receive_body",
    "request_id_of",
    "stream_answer",
    "submit",
]

NO_BODY = (204, 304)


async def read_body(request: Request, limit: int, budget: BodyBudget | None = None) -> bytes:
    """Read a request's body; see asgi.read_body.

    Args:
        request: The request.
        limit: The largest allowed size in bytes.
        budget: Of all bodies that are being read.

    Raises:
        TooLarge: The body is longer.
        TooBusy: The budget does not allow it.
    """
    reservation = budget.reserve() if budget is not None else None
    try:
        return await bodies.read_body(request.receive, limit, reservation)
    except bodies.BudgetExceeded:
        raise TooBusy(f"too much is being sent: try again in {RETRY_AFTER} s", RETRY_AFTER) from None
    except bodies.BodyTooLarge as error:
        raise TooLarge(str(error)) from None
    finally:
        if reservation is not None:
            reservation.release()


@contextlib.asynccontextmanager
async def receive_body(platform: Platform, project: Project, request: Request) -> AsyncGenerator[bytes | FileBody]:
    """Receive the body of a call for the duration of the block; a call that is submitted in it keeps the body.

    Raises TooLarge, StoreError, and TooBusy before the body is received if the project's queue is full.
    """
    platform.dispatcher.check_capacity(project)
    body = await platform.bodies.receive(request.stream(), platform.settings.max_body)
    try:
        yield body
    finally:
        if isinstance(body, FileBody):
            body.discard()


async def pass_on(
    platform: Platform, project: Project, target: str, request: Request, *, strict: bool = False
) -> Response:
    """Return the app's answer to a request, or an error of the platform. See `submit` and `answer_of`."""
    async with receive_body(platform, project, request) as body:
        pending = await submit(platform, project, target, request, body, strict=strict)
    answer = await answer_of(platform, pending, request)
    if answer is not None:
        return answer
    reason = pending.release_reason or outcomes.stopping(pending.call.id)
    return json_error(503, "stopping", reason, {CALL_ID: pending.call.id, "retry-after": "5"})


def is_safe(method: str) -> bool:
    """Return whether a method only reads: such a request may be repeated freely, and is never an earlier one again."""
    return method in ("GET", "HEAD", "OPTIONS")


def request_id_of(request: Request) -> str | None:
    """Return the caller's id for the call, under which it may retry."""
    return None if is_safe(request.method) else request.headers.get("x-banana-request-id") or None


async def submit(
    platform: Platform, project: Project, target: str, request: Request, body: bytes | FileBody, *, strict: bool = False
) -> PendingCall:
    """Queue a request as a call. Raises TooLarge, TooBusy, Conflict, StoreError.

    Args:
        platform: The platform.
        project: The project whose app is called.
        target: The app's path with its query.
        request: The caller's request.
        body: The request's body.
        strict: Whether another call under the same id is refused.
    """
    headers = app_headers(request.scope["headers"], lambda secret: platform.keys.find(secret) is not None)
    return await platform.submit(
        project,
        target,
        body,
        method=request.method,
        headers=headers,
        request_id=request_id_of(request),
        strict=strict,
        durable=False,
    )


async def answer_of(
    platform: Platform, pending: PendingCall, request: Request, limit: float | None = None
) -> Response | None:
    """Wait for the answer of a call and return it; None if the platform stops first.

    A caller that leaves cancels its call, unless the call has a request id and so may be retried.

    Args:
        platform: The platform.
        pending: The call.
        request: The caller's request, whose body has been read.
        limit: Seconds to wait for an answer to begin.

    Raises:
        TimeoutError: No answer has begun.
    """
    request_id = request_id_of(request)
    departure = departure_of(request.scope)
    await _answered_or_gone(pending, departure, limit)
    if not pending.is_answered:
        if request_id is None:
            await platform.dispatcher.cancel(pending.call.id)
        if not departure.has_left:
            raise TimeoutError
        return Response(status_code=499)
    if pending.response_head is not None and not pending.done.done():
        pending.streamed = True
        status, headers = pending.response_head
        answer = StreamingResponse(stream_answer(platform, pending, request_id), status)
        answer.raw_headers = answer_headers(headers, pending.call.id)
        return answer
    return _CompleteAnswer(pending, pending.done.result(), request.method) if pending.done.done() else None


async def _answered_or_gone(pending: PendingCall, departure: Departure, limit: float | None) -> None:
    """Wait until a call is answered, its caller has left, or `limit` seconds are over."""
    loop = asyncio.get_running_loop()
    deadline = None if limit is None else loop.time() + limit
    while not pending.is_answered and not departure.has_left and (deadline is None or loop.time() < deadline):
        watcher: asyncio.Future[None] = loop.create_future()
        pending.watch(watcher)
        departure.watch(watcher)
        timer = None if deadline is None else loop.call_at(deadline, _set, watcher)
        try:
            await watcher
        finally:
            if timer is not None:
                timer.cancel()


def _set(watcher: asyncio.Future[None]) -> None:
    if not watcher.done():
        watcher.set_result(None)


async def stream_answer(platform: Platform, pending: PendingCall, request_id: str | None) -> AsyncGenerator[bytes]:
    """Yield what a call streams. Closing it early cancels the call, unless the call has a request id to retry by.

    Raises ConnectionError if the answer breaks off.
    """
    try:
        async for chunk in pending.chunks():
            yield chunk
    finally:
        if not pending.done.done() and not pending.released.done() and request_id is None:
            with contextlib.suppress(PlatformError):
                await platform.dispatcher.cancel(pending.call.id)
    if not pending.done.done() or _is_interrupted(pending.done.result()):
        raise ConnectionError("the app's answer broke off")  # so that the caller can tell


def _is_interrupted(outcome: CallOutcome) -> bool:
    """Return whether the streamed answer is incomplete: the call ended with an error of the platform instead."""
    return outcome.error is not None and not outcome.from_app


class _CompleteAnswer(Response):
    """The answer of a call that is over; the call counts among the answers in memory until this is sent."""

    def __init__(self, pending: PendingCall, outcome: CallOutcome, method: str) -> None:
        super().__init__(outcome.body if method != "HEAD" else b"", outcome.status)
        self._pending = pending
        self.raw_headers = answer_headers(_with_content_type(outcome.headers, outcome.body), pending.call.id)
        if outcome.status not in NO_BODY and method != "HEAD":
            self.raw_headers.append((b"content-length", str(len(outcome.body)).encode()))


def _with_content_type(headers: Headers, body: bytes) -> Headers:
    """Return the headers, with application/octet-stream for a body whose app names no type."""
    if not body or any(name == "content-type" for name, _ in headers):
        return headers
    return (*headers, ("content-type", "application/octet-stream"))
