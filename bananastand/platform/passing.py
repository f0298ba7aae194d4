"""Passes an HTTP request on to a project's app, as a call, and its answer back, streaming where the app streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from . import outcomes
from .calls import Outcome
from .errors import PlatformError, Refused
from .projects import Project
from .stand import Stand
from .ticket import Ticket

__all__ = ["TooLarge", "pass_on", "pieces", "read_body"]

CALL = "x-banana-call-id"


class TooLarge(Refused):
    """The body is longer than is taken."""

    code, status = "too_large", 413


async def read_body(request: Request, most: int) -> bytes:
    """The body, counted as it comes. Raises TooLarge."""
    chunks, size = list[bytes](), 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            raise TooLarge(f"the body is longer than {most} bytes")
    return b"".join(chunks)


async def pass_on(stand: Stand, project: Project, route: str, request: Request) -> Response:
    """The app's answer, or the stand's own words where there is none. A caller that leaves calls its call off, unless
    it has named it by a request id and so may come again. Raises TooLarge, StoreError."""
    body = await read_body(request, stand.settings.max_body)
    request_id = request.headers.get("x-banana-request-id") or None
    ticket = await stand.submit(project, route, body or b"{}", request_id=request_id)
    opened, gone = asyncio.create_task(ticket.opened()), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({opened, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not opened.done():
            if request_id is None:
                await stand.dispatcher.cancel(ticket.made.id)
            return Response(status_code=499)
    finally:
        opened.cancel()
        gone.cancel()
    if ticket.done.done():
        outcome: Outcome = ticket.done.result()
        return Response(outcome.body, outcome.status, _headers(ticket, outcome.content_type))
    if ticket.head is None:
        told = {"error": {"code": "stopping", "message": outcomes.kept(ticket.made.id)}}
        return JSONResponse(told, 503, {CALL: ticket.made.id, "retry-after": "5"})
    status, kind = ticket.head
    return StreamingResponse(pieces(stand, ticket, request_id), status, _headers(ticket, kind))


def _headers(ticket: Ticket, kind: str) -> dict[str, str]:
    return {CALL: ticket.made.id, "content-type": kind}


async def pieces(stand: Stand, ticket: Ticket, request_id: str | None) -> AsyncGenerator[bytes]:
    """What a call streams. Closed before its end it calls the call off, unless that has a name to come again by.

    Raises ConnectionError where the answer breaks off.
    """
    try:
        async for piece in ticket.pieces():
            yield piece
    finally:
        if not ticket.done.done() and not ticket.dismissed.done() and request_id is None:
            with contextlib.suppress(PlatformError):
                await stand.dispatcher.cancel(ticket.made.id)
    if not ticket.done.done() or ticket.done.result().error is not None:
        raise ConnectionError("the app's answer broke off")  # so that the caller can tell


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
