"""Websockets of callers, by the three ways to an app: run URL, call route and front. Knows no replica.

A websocket is one call. It waits in the queue like every call, its handshake not answered yet; whatever hinders it is
an HTTP response in the words of the way it came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response

from ..errors import PlatformError
from ..platform import Platform
from ..scheduling.pending_call import PendingCall
from ..store.calls import WEBSOCKET, Outcome
from ..store.projects import Project
from .api import authorise
from .headers import CALL_ID, answer_headers, app_headers, app_target, raw_path
from .run_url import MARGIN, find_project, late_message, refusal
from .websocket_caller import Caller
from .websocket_session import HANDSHAKE, WebsocketSession

__all__ = ["refuse_websocket", "serve_call_websocket", "serve_front_websocket", "serve_run_websocket"]

STOP = 2.0  # seconds for a caller to have the close frame when the platform stops
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Way:
    """How a way refuses (status, code, message), and how many seconds it lets a caller wait for the handshake."""

    refuse: Callable[[int, str, str], Response]
    limit: float | None = None


async def serve_run_websocket(
    platform: Platform, slug: bytes, path: bytes, scope: Any, receive: Receive, send: Send
) -> None:
    """A websocket on a project's run URL, with Banana's key and texts."""
    project = find_project(platform, slug, HTTPConnection(scope))
    if isinstance(project, Response):
        await refuse_websocket(project, scope, receive, send)
        return
    way = _Way(lambda status, code, message: refusal(status, message), project.inference_timeout + MARGIN)
    await _serve(platform, project, path, way, scope, receive, send)


async def serve_call_websocket(
    platform: Platform, name: bytes, path: bytes, scope: Any, receive: Receive, send: Send
) -> None:
    """A websocket on the platform's own route of a project's app."""
    try:
        authorise(platform, HTTPConnection(scope))
        project = platform.projects.named(unquote(name.decode("latin-1")))
    except PlatformError as error:
        await refuse_websocket(_json(error.status, error.code, str(error)), scope, receive, send)
        return
    await _serve(platform, project, path, _Way(_json), scope, receive, send)


async def serve_front_websocket(platform: Platform, project: Project, scope: Any, receive: Receive, send: Send) -> None:
    """A websocket on a front, where no key is wanted."""
    await _serve(platform, project, raw_path(scope), _Way(_json), scope, receive, send)


async def refuse_websocket(response: Response, scope: Any, receive: Receive, send: Send) -> None:
    """Answer a handshake by this response."""
    await receive()
    await response(scope, receive, send)


async def _serve(
    platform: Platform, project: Project, path: bytes, way: _Way, scope: Any, receive: Receive, send: Send
) -> None:
    try:
        target = app_target(path, scope["query_string"])
    except PlatformError as error:
        await refuse_websocket(way.refuse(error.status, error.code, str(error)), scope, receive, send)
        return
    await receive()  # websocket.connect
    caller = Caller(scope, receive, send)
    session = WebsocketSession(caller, scope.get("subprotocols") or (), platform.settings)
    pending: PendingCall | None = None
    try:
        pending = await _submit(platform, project, target, scope, session)
        waits = {pending.done, pending.released, caller.gone, session.opened}
        await asyncio.wait(waits, timeout=way.limit, return_when=asyncio.FIRST_COMPLETED)
        if session.opened.done():
            await _hold(pending, session)
        elif (response := await _denial(platform, project, pending, caller, way)) is not None:
            await caller.deny(response)
    except PlatformError as error:
        await caller.deny(way.refuse(error.status, error.code, str(error)))
    finally:
        if pending is not None and not pending.done.done() and not session.ended.done():
            await platform.dispatcher.cancel(pending.call.id)
        await caller.stop()


async def _submit(
    platform: Platform, project: Project, target: str, scope: Any, session: WebsocketSession
) -> PendingCall:
    """Queue it as a call. Raises StoreError."""
    headers = app_headers(scope["headers"], lambda secret: platform.keys.find(secret) is not None)
    headers = tuple((name, value) for name, value in headers if not name.startswith(HANDSHAKE))
    return await platform.submit(project, target, b"", method=WEBSOCKET, headers=headers, session=session)


async def _hold(pending: PendingCall, session: WebsocketSession) -> None:
    """Until it has ended, or the platform stops."""
    await asyncio.wait({session.ended, pending.done, pending.released}, return_when=asyncio.FIRST_COMPLETED)
    if not session.ended.done():
        session.stop()
        await asyncio.wait({session.ended}, timeout=STOP)


async def _denial(
    platform: Platform, project: Project, pending: PendingCall, caller: Caller, way: _Way
) -> Response | None:
    """The response for a handshake that was not completed; None if the caller is gone."""
    if caller.gone.done():
        return None
    if pending.done.done():
        return _ended(pending.done.result(), pending, way)
    if pending.released.done():
        return _named(way.refuse(503, "stopping", "the platform stops; connect again when it runs"), pending)
    if (building := late_message(platform, project)) is not None:
        return _named(way.refuse(503, "building", building), pending)
    return _named(way.refuse(504, "timeout", "Gateway timeout"), pending)


def _ended(outcome: Outcome, pending: PendingCall, way: _Way) -> Response:
    """The app's own answer, or the platform's reason."""
    if not outcome.from_app:
        return _named(way.refuse(outcome.status, "failed", outcome.error or ""), pending)
    response = Response(outcome.body, outcome.status)
    length = (b"content-length", str(len(outcome.body)).encode())
    response.raw_headers = [*answer_headers(outcome.headers, pending.call.id), length]
    return response


def _named(response: Response, pending: PendingCall) -> Response:
    response.headers[CALL_ID] = pending.call.id
    return response


def _json(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
