"""The application of a front on all its ports: the platform's own while it is active, else the active front's.

A request that makes a call is sent again when the active front is lost, under an id by which it makes one call only.
Others are sent again where that changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from starlette.responses import Response

from bananastand.asgi.bodies import ClientDisconnected
from bananastand.asgi.departures import departure_of
from bananastand.asgi.host_guard import HostGuard
from bananastand.asgi.refusals import Dialect, Refusal
from bananastand.asgi.responses import send_json, send_response

from ..http.api import CALL
from ..http.app import refuse
from ..http.forwarded import Forwarded, with_forwarded
from ..http.headers import raw_path
from ..http.run_hosts import host_of, rewrite_banana_host
from ..http.run_url import RUN
from ..http.task_api import is_task_path
from ..http.websocket_caller import WebsocketCaller
from ..scheduling.repeat import REPEAT
from .caller_response import BrokenOff, CallerResponse
from .front import Front
from .http_forwarder import HttpForwarder, Interrupted, NotDelivered
from .membership import Leader
from .replayable_body import ReplayableBody
from .status import FrontStatus
from .websocket_forwarder import WebsocketForwarder

__all__ = ["FrontServer", "Ports"]

WAIT_SECONDS = 30.0  # for a front to become active
PAUSE_SECONDS = 0.05  # before the same front is tried again
RETRY_AFTER = 5
START_OR_CHECK = re.compile(r"(?i)/banana/(start|check)/v\d+/?|/lowcodeapi/bananadev/v1/(start|check|run)(/|&.*)?")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where requests come in.

    Attributes:
        projects: Projects by the port that is theirs alone.
        secure: Ports behind the forward proxy's TLS.
        private: Whether page and metrics require a key.
        hosts: Host names that are allowed beside loopback.
        open_to: Path prefixes with CORS of their own, where any Origin is allowed.
    """

    projects: Mapping[int, str]
    secure: frozenset[int] = frozenset()
    private: bool = False
    hosts: Iterable[str] = ()
    open_to: Iterable[str] = ()


class FrontServer:
    """The application.

    Args:
        front: This front.
        ports: Where requests come in.
        dialect: Words what this front answers itself.
        context: TLS of a front that calls.
        folder: For bodies that may have to be sent again.
        max_body: Bytes of such a body.
    """

    def __init__(
        self, front: Front, ports: Ports, dialect: Dialect, context: ssl.SSLContext, folder: Path, max_body: int
    ) -> None:
        self._front, self._ports, self._dialect = front, ports, dialect
        self._folder, self._max_body = folder, max_body
        self._guard = HostGuard(ports.hosts, ports.open_to)
        self._http, self._websockets = HttpForwarder(context), WebsocketForwarder(context)
        self._stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.status = FrontStatus(front)

    def stop(self) -> None:
        """Answer those whose requests are forwarded, because this front is about to stop."""
        if not self._stopping.done():
            self._stopping.set_result(None)

    async def close(self) -> None:
        """Close the connections to other fronts."""
        await self._http.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request here, or forward it."""
        project = self._ports.projects.get((scope.get("server") or ("", 0))[1])
        if project is None and scope["path"] == "/healthz" and scope.get("method") in ("GET", "HEAD"):
            await send_json(send, *self.status.health())
            return
        if (app := self._front.app) is not None:
            await app(scope, receive, send)
            return
        with contextlib.suppress(ClientDisconnected):
            await self._stand_by(project, scope, receive, send)

    async def _stand_by(self, project: str | None, scope: Any, receive: Any, send: Any) -> None:
        moved = rewrite_banana_host(scope) if project is None else None
        if (refusal := self._guard.refusal(scope, names=(host_of(scope),) if moved is not None else ())) is not None:
            await refuse(scope, receive, send, refusal)
            return
        path = (moved or scope)["path"]
        if scope["type"] == "http" and path == "/metrics" and project is None and not self._ports.private:
            await send_response(send, 200, self.status.metrics(), b"text/plain; version=0.0.4; charset=utf-8")
            return
        is_secure = moved is not None and scope["server"][1] in self._ports.secure
        scheme = scope["scheme"] + ("s" if is_secure else "")
        may_repeat = scope["type"] == "http" and (project is not None or _may_repeat(moved or scope))
        id = str(uuid.uuid4()) if may_repeat else None
        forwarded = Forwarded(id, True, project, self._ports.private, scheme)
        if scope["type"] == "http":
            await self._forward(scope, receive, send, forwarded)
        else:
            await self._forward_websocket(scope, receive, send, forwarded)

    async def _forward(self, scope: Any, receive: Any, send: Any, forwarded: Forwarded) -> None:
        response = CallerResponse(send)
        body = ReplayableBody(receive, self._folder, self._max_body if forwarded.id is not None else 0)
        is_uncertain, deadline = False, _deadline()
        try:
            while not response.is_complete:
                target = await self._target(deadline)
                if target is None or (is_uncertain and not (forwarded.id is not None and body.can_replay)):
                    break
                try:
                    await self._attempt(target, scope, forwarded, body, response)
                    return
                except NotDelivered:
                    await asyncio.sleep(PAUSE_SECONDS)
                except Interrupted:
                    is_uncertain, deadline = True, _deadline()
                    forwarded = replace(forwarded, is_first=False)
                    if not response.can_continue:
                        raise BrokenOff from None
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            body.close()
        if not response.is_complete:
            await self._refuse(scope, send, response, is_uncertain=is_uncertain)

    async def _attempt(
        self,
        target: Leader | Callable[..., Any],
        scope: Any,
        forwarded: Forwarded,
        body: ReplayableBody,
        response: CallerResponse,
    ) -> None:
        """Send a request once. Raises NotDelivered, Interrupted, BrokenOff, ClientDisconnected."""
        if not isinstance(target, Leader):
            await self._serve_here(target, scope, forwarded, body, response)
            return
        self.status.forwarded += 1
        departure = departure_of(scope)
        left = asyncio.get_running_loop().create_future()
        departure.watch(left)
        sending = self._http.forward(target.url, scope, forwarded, body, response)
        await self._while_active(target, sending, left)
        if left.done() and not response.is_complete:
            raise ClientDisconnected

    async def _while_active(
        self, target: Leader, sending: Coroutine[Any, Any, None], left: asyncio.Future[None]
    ) -> None:
        """Await `sending` until the caller has left. Raises Interrupted where another front becomes active."""
        task, moved = asyncio.ensure_future(sending), asyncio.ensure_future(self._moved(target))
        try:
            await asyncio.wait({task, moved, left, self._stopping}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            elif not left.done():
                raise Interrupted("another front is active")
        finally:
            moved.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            elif not task.cancelled():
                task.exception()

    async def _serve_here(
        self, app: Any, scope: Any, forwarded: Forwarded, body: ReplayableBody, response: CallerResponse
    ) -> None:
        """Serve a request that came in before this front was active."""
        chunks, is_released = body.chunks(), False

        async def receive() -> Any:
            chunk = await anext(chunks, None)
            return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

        async def send(message: Any) -> None:
            nonlocal is_released
            if message["type"] == "http.response.start":
                is_released = message["status"] == 503 and self._front.app is not app
                if not is_released:
                    await response.begin(message["status"], message["headers"])
            elif not is_released:
                if message.get("body"):
                    await response.add(message["body"])
                if not message.get("more_body", False):
                    await response.end()

        token = REPEAT.set(forwarded.repeat)
        try:
            await app(with_forwarded(scope, forwarded), receive, send)
        finally:
            REPEAT.reset(token)
            await chunks.aclose()
        if is_released:
            raise Interrupted("this front is not active any longer")

    async def _forward_websocket(self, scope: Any, receive: Any, send: Any, forwarded: Forwarded) -> None:
        deadline, connect = _deadline(), await receive()
        while True:
            target = await self._target(deadline)
            if target is not None and not isinstance(target, Leader):
                await target(with_forwarded(scope, forwarded), _preceded(connect, receive), send)
                return
            caller, is_delivered = WebsocketCaller(scope, receive, send), True
            try:
                if target is not None:
                    await self._websockets.forward(target.url, scope, forwarded, caller, self._moved(target))
            except NotDelivered:
                is_delivered = False
            except Interrupted:
                pass
            finally:
                if is_delivered and not caller.accepted:
                    text = "the active front is gone: connect again"
                    await caller.deny(self._refusal(scope, text, "no_active_front"))
                await caller.stop()
            if is_delivered or caller.gone.done():
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _moved(self, target: Leader) -> None:
        """Wait until that front is not the active one any longer, as far as this one knows, or this one stops."""
        membership = self._front.membership
        while not self._stopping.done():
            revision = membership.revision
            leader = membership.leader
            if leader is None or leader.epoch != target.epoch:
                return
            changed = asyncio.ensure_future(membership.changed(revision))
            try:
                await asyncio.wait({changed, self._stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()

    async def _target(self, deadline: float) -> Leader | Callable[..., Any] | None:
        """Return the application of this front, or the front to forward to; None where none becomes active in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(0)  # so that a deadline that is over counts
                while not self._stopping.done():
                    revision = self._front.membership.revision
                    if (target := self._front.app or self._front.leader) is not None:
                        return target
                    await self._front.membership.changed(revision)
        return None

    async def _refuse(self, scope: Any, send: Any, response: CallerResponse, *, is_uncertain: bool) -> None:
        if response.has_begun:
            raise BrokenOff
        if self._stopping.done():
            code, text = "stopping", "this front stops: send the request again"
        elif is_uncertain:
            code, text = "uncertain", (
                "the active front ended while it handled the request, which may have been done: look whether it was, "
                "and send it again if not"
            )  # fmt: skip
        else:
            leader = self._front.leader
            problem = self._front.membership.problem or "none has taken over yet"
            if leader is not None:
                problem = f"{leader.name} does not answer at {leader.url}"
            code, text = "no_active_front", f"no front is active ({problem}): try again in a moment"
        refusal = self._refusal(scope, text, code)
        await refusal(scope, None, send)  # pyright: ignore[reportArgumentType]

    def _refusal(self, scope: Any, text: str, code: str) -> Response:
        port = (scope.get("server") or ("", 0))[1]
        refusal = Refusal(503, code, text, scope["path"], port, host_of(scope), RETRY_AFTER)
        content_type, content = self._dialect(refusal)
        return Response(content, 503, {"retry-after": str(RETRY_AFTER)}, content_type)


def _preceded(message: Any, receive: Any) -> Any:
    """Return a `receive` that gives a message which was received already once more."""
    waiting = [message]

    async def receive_again() -> Any:
        return waiting.pop() if waiting else await receive()

    return receive_again


def _deadline() -> float:
    return asyncio.get_running_loop().time() + WAIT_SECONDS


def _may_repeat(scope: Any) -> bool:
    """Return whether a request may be sent again: it only reads, or makes a call, which its id makes once."""
    path = raw_path(scope)
    if scope["method"] in ("GET", "HEAD", "OPTIONS") or RUN.fullmatch(path) or CALL.fullmatch(path):
        return True
    return is_task_path(scope["path"]) or START_OR_CHECK.fullmatch(scope["path"]) is not None
