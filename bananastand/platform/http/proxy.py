"""Passes an HTTP request on to a project's app, as a call, and its answer back, streaming where the app streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from bananastand.asgi import bodies
from bananastand.asgi.bodies import BodyBudget

from ..errors import PlatformError, TooBusy
from ..platform import Platform
from ..replicas.client import Headers
from ..scheduling import outcomes
from ..scheduling.pending_call import PendingCall
from ..store.bodies import AGAIN, FileBody, TooLarge
from ..store.calls import Outcome
from ..store.projects import Project
from .headers import CALL_ID, answer_headers, app_headers

__all__ = [
    "TooLarge",
    "answer_of",
    "error_response",
    "is_safe",
    "pass_on",
    "pieces",
    "read_body",
    "receive_body",
    "request_id_of",
    "submit",
]

NO_BODY = (204, 304)


async def read_body(request: Request, most: int, budget: BodyBudget | None = None) -> bytes:
    """The body, counted as it comes.

    Args:
        request: The caller's.
        most: Its largest size in bytes.
        budget: Memory for all bodies that are being read.

    Raises:
        TooLarge: It is longer.
        TooBusy: All bodies together hold too much.
    """
    reservation = budget.reserve() if budget is not None else None
    try:
        return await bodies.read_body(request.receive, most, reservation)
    except bodies.BudgetExceeded:
        raise TooBusy(f"too much is being sent: try again in {AGAIN} s", AGAIN) from None
    except bodies.BodyTooLarge as error:
        raise TooLarge(str(error)) from None
    finally:
        if reservation is not None:
            reservation.release()


@contextlib.asynccontextmanager
async def receive_body(stand: Platform, project: Project, request: Request) -> AsyncGenerator[bytes | FileBody]:
    """The body of a call to be, for the time of the block; a call that is made in it keeps it.

    Raises TooLarge, StoreError, and TooBusy where the project's queue is full, before the body is received.
    """
    stand.dispatcher.check_room(project)
    body = await stand.bodies.receive(request.stream(), stand.settings.max_body)
    try:
        yield body
    finally:
        if isinstance(body, FileBody):
            body.discard()


async def pass_on(
    stand: Platform, project: Project, target: str, request: Request, *, strict: bool = False
) -> Response:
    """The app's answer, or the stand's own words where there is none. See `submit` and `answer_of`."""
    async with receive_body(stand, project, request) as body:
        pending = await submit(stand, project, target, request, body, strict=strict)
    answer = await answer_of(stand, pending, request)
    if answer is not None:
        return answer
    message = {"error": {"code": "stopping", "message": pending.dismissal or outcomes.kept(pending.made.id)}}
    return JSONResponse(message, 503, {CALL_ID: pending.made.id, "retry-after": "5"})


def error_response(error: PlatformError) -> JSONResponse:
    """An error as the platform's own API and the fronts answer it."""
    message = {"error": {"code": error.code, "message": str(error)}}
    headers = {"retry-after": str(error.retry_after)} if isinstance(error, TooBusy) else None
    return JSONResponse(message, error.status, headers)


def is_safe(method: str) -> bool:
    """Whether a request of this method only reads: it may be repeated freely, and is never taken for an earlier one."""
    return method in ("GET", "HEAD", "OPTIONS")


def request_id_of(request: Request) -> str | None:
    """The caller's id for the call, under which it may come again."""
    return None if is_safe(request.method) else request.headers.get("x-banana-request-id") or None


async def submit(
    stand: Platform, project: Project, target: str, request: Request, body: bytes | FileBody, *, strict: bool = False
) -> PendingCall:
    """Queue a request as a call.

    Args:
        stand: Takes the call.
        project: Whose app is asked.
        target: The app's path with its query.
        request: The caller's.
        body: The request's.
        strict: Refuse another call under an id that was used.

    Raises:
        TooLarge, TooBusy, Conflict, StoreError: There is no call.
    """
    headers = app_headers(request.scope["headers"], lambda secret: stand.keys.find(secret) is not None)
    return await stand.submit(
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
    stand: Platform, pending: PendingCall, request: Request, limit: float | None = None
) -> Response | None:
    """What a call is answered; None where the stand stops first.

    A caller that leaves cancels its call, unless it has named it by a request id and so may come again.

    Args:
        stand: Has the call.
        pending: The call.
        request: The caller's, whose body has been read.
        limit: Seconds to wait for an answer to begin.

    Raises:
        TimeoutError: None has begun.
    """
    request_id = request_id_of(request)
    opened, gone = asyncio.create_task(pending.opened()), asyncio.create_task(_gone(request))
    try:
        done, _ = await asyncio.wait({opened, gone}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if not opened.done():
            if request_id is None:
                await stand.dispatcher.cancel(pending.made.id)
            if not done:
                raise TimeoutError
            return Response(status_code=499)
    finally:
        opened.cancel()
        gone.cancel()
    if pending.head is not None and not pending.done.done():
        pending.streamed = True
        status, headers = pending.head
        answer = StreamingResponse(pieces(stand, pending, request_id), status)
        answer.raw_headers = answer_headers(headers, pending.made.id)
        return answer
    outcome = await pending.outcome()
    return None if outcome is None else _whole(outcome, pending.made.id, request.method)


async def pieces(stand: Platform, pending: PendingCall, request_id: str | None) -> AsyncGenerator[bytes]:
    """What a call streams. Closed before its end it cancels the call, unless that has a name to come again by.

    Raises ConnectionError where the answer breaks off.
    """
    try:
        async for piece in pending.pieces():
            yield piece
    finally:
        if not pending.done.done() and not pending.dismissed.done() and request_id is None:
            with contextlib.suppress(PlatformError):
                await stand.dispatcher.cancel(pending.made.id)
    if not pending.done.done() or _broke_off(pending.done.result()):
        raise ConnectionError("the app's answer broke off")  # so that the caller can tell


def _broke_off(outcome: Outcome) -> bool:
    """Whether what was streamed is not the whole answer: the call ended with the platform's words instead."""
    return outcome.error is not None and not outcome.from_app


def _whole(outcome: Outcome, call_id: str, method: str) -> Response:
    answer = Response(outcome.body if method != "HEAD" else b"", outcome.status)
    answer.raw_headers = answer_headers(_typed(outcome.headers, outcome.body), call_id)
    if outcome.status not in NO_BODY and method != "HEAD":
        answer.raw_headers.append((b"content-length", str(len(outcome.body)).encode()))
    return answer


def _typed(headers: Headers, body: bytes) -> Headers:
    """A body whose app names no type is bytes."""
    if not body or any(name == "content-type" for name, _ in headers):
        return headers
    return (*headers, ("content-type", "application/octet-stream"))


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
