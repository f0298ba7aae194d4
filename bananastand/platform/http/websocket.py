"""Websockets of callers, by the three routes to an app: run URL, call route and front.

A websocket is one call. It waits in the queue like every call, before its handshake is answered; a refusal is an HTTP
response in the form of the route.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.requests import HTTPConnection
from starlette.responses import Response

from ..errors import PlatformError
from ..platform import Platform
from ..scheduling.pending_call import PendingCall
from ..store.calls import WEBSOCKET, CallOutcome
from ..store.projects import Project
from .api import authorise
from .errors import error_response, json_error
from .headers import CALL_ID, answer_headers, app_headers, app_target, raw_path
from .run_url import MARGIN, find_project, late_message, refusal
from .websocket_caller import WebsocketCaller
from .websocket_session import HANDSHAKE, WebsocketSession

__all__ = ["refuse_websocket", "serve_call_websocket", "serve_front_websocket", "serve_run_websocket"]

CLOSE_SECONDS = 2.0  # for a caller to get the close frame when the platform stops
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Route:
    """How a route refuses (status, code, message), and how many seconds a caller may wait for the handshake."""

    refuse: Callable[[int, str, str], Response]
    limit: float | None = None


async def serve_run_websocket(
    platform: Platform, slug: bytes, path: bytes, scope: Any, receive: Receive, send: Send
) -> None:
    """Serve a websocket on a project's run URL, with Banana's API key and error texts."""
    project = find_project(platform, slug, HTTPConnection(scope))
    if isinstance(project, Response):
        await refuse_websocket(project, scope, receive, send)
        return
    route = _Route(lambda status, code, message: refusal(status, message), project.inference_timeout + MARGIN)
    await _serve(platform, project, path, route, scope, receive, send)


async def serve_call_websocket(
    platform: Platform, name: bytes, path: bytes, scope: Any, receive: Receive, send: Send
) -> None:
    """Serve a websocket on the platform's own route of a project's app."""
    try:
        authorise(platform, HTTPConnection(scope))
        project = platform.projects.named(unquote(name.decode("latin-1")))
    except PlatformError as error:
        await refuse_websocket(error_response(error), scope, receive, send)
        return
    await _serve(platform, project, path, _Route(json_error), scope, receive, send)


async def serve_front_websocket(platform: Platform, project: Project, scope: Any, receive: Receive, send: Send) -> None:
    """Serve a websocket on a front, which requires no key."""
    await _serve(platform, project, raw_path(scope), _Route(json_error), scope, receive, send)


async def refuse_websocket(response: Response, scope: Any, receive: Receive, send: Send) -> None:
    """Answer a handshake with a response."""
    await receive()
    await response(scope, receive, send)


async def _serve(
    platform: Platform, project: Project, path: bytes, route: _Route, scope: Any, receive: Receive, send: Send
) -> None:
    try:
        target = app_target(path, scope["query_string"])
    except PlatformError as error:
        await refuse_websocket(route.refuse(error.status, error.code, str(error)), scope, receive, send)
        return
    await receive()  # websocket.connect
    caller = WebsocketCaller(scope, receive, send)
    session = WebsocketSession(caller, scope.get("subprotocols") or (), platform.settings)
    pending: PendingCall | None = None
    try:
        pending = await _submit(platform, project, target, scope, session)
        waits = {pending.done, pending.released, caller.gone, session.opened}
        await asyncio.wait(waits, timeout=route.limit, return_when=asyncio.FIRST_COMPLETED)
        if session.opened.done():
            await _hold(pending, session)
        elif (response := await _denial(platform, project, pending, caller, route)) is not None:
            await caller.deny(response)
    except PlatformError as error:
        await caller.deny(route.refuse(error.status, error.code, str(error)))
    finally:
        if pending is not None and not pending.done.done() and not session.ended.done():
            await platform.dispatcher.cancel(pending.call.id)
        await caller.stop()


async def _submit(
    platform: Platform, project: Project, target: str, scope: Any, session: WebsocketSession
) -> PendingCall:
    """Queue a websocket as a call. Raises StoreError."""
    headers = app_headers(scope["headers"], lambda secret: platform.keys.find(secret) is not None)
    headers = tuple((name, value) for name, value in headers if not name.startswith(HANDSHAKE))
    return await platform.submit(project, target, b"", method=WEBSOCKET, headers=headers, session=session)


async def _hold(pending: PendingCall, session: WebsocketSession) -> None:
    """Wait until the websocket has ended, or the platform stops and ends it."""
    await asyncio.wait({session.ended, pending.done, pending.released}, return_when=asyncio.FIRST_COMPLETED)
    if not session.ended.done():
        session.stop()
        await asyncio.wait({session.ended}, timeout=CLOSE_SECONDS)


async def _denial(
    platform: Platform, project: Project, pending: PendingCall, caller: WebsocketCaller, route: _Route
) -> Response | None:
    """Return the response to a handshake that was not completed; None if the caller is gone."""
    if caller.gone.done():
        return None
    if pending.done.done():
        return _ended(pending.done.result(), pending, route)
    if pending.released.done():
        return _with_call_id(route.refuse(503, "stopping", "the platform stops; connect again when it runs"), pending)
    if (building := late_message(platform, project)) is not None:
        return _with_call_id(route.refuse(503, "building", building), pending)
    return _with_call_id(route.refuse(504, "timeout", "Gateway timeout"), pending)


def _ended(outcome: CallOutcome, pending: PendingCall, route: _Route) -> Response:
    """Return the app's own answer, or the platform's error."""
    if not outcome.from_app:
        return _with_call_id(route.refuse(outcome.status, "failed", outcome.error or ""), pending)
    response = Response(outcome.body, outcome.status)
    length = (b"content-length", str(len(outcome.body)).encode())
    response.raw_headers = [*answer_headers(outcome.headers, pending.call.id), length]
    return response


def _with_call_id(response: Response, pending: PendingCall) -> Response:
    response.headers[CALL_ID] = pending.call.id
    return response
