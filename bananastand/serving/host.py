"""The ASGI application in front of a Potassium app: routes, limits, streams, health checks and metrics."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import MutableMapping
from typing import Any

from ..asgi.host_guard import HostGuard
from ..asgi.responses import refuse_websocket
from ..worker import wire
from ..worker.handlers import Handlers
from ..worker.potassium_app import PotassiumApp
from ..worker.status import Status
from ..worker.wire import WireResponse
from . import hosted_call, metrics
from .hosted_call import HostedCall, HostedRoute, Receive, Send, decode_headers, send_response
from .options import Options

__all__ = ["Host"]

Scope = MutableMapping[str, Any]

# Says that no handler has run, so that the platform may send the call again. An app's own responses cannot carry it.
# The platform accepts it only with the id that it has put into the replica's environment.
NOT_RUN = (
    hosted_call.NOT_RUN,
    os.environ.get("BANANASTAND_REPLICA", "1").encode("latin-1", "replace").decode("latin-1"),
)
PARSED = 4096  # bytes of a body that waits as parsed JSON; a larger one takes less memory as bytes
CHECKED = 64 * 2**10  # bytes of a body that is parsed once before it waits, to refuse what is not JSON
_OWN_PATHS = frozenset(("/healthz", "/readyz", "/ping", "/metrics"))
_STATIC = _OWN_PATHS | {"/_k/status", "/__status__"}


class Host:
    """Answers for an app from the moment the port is open, with 503 until `use` is called.

    Args:
        options: The limits.

    Attributes:
        stage: What the server does while there is no app yet, for the callers.
        draining: Whether new requests are refused.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.status = Status()
        self.stage = "starting"
        self.draining = False
        self._routes: dict[str, HostedRoute] = {}
        self._workers: Handlers | None = None
        self._calls: set[HostedCall] = set()
        self._background = 0  # of the calls
        self._held = 0  # bytes of their bodies, and of the bodies that are being received
        self._guard = HostGuard(options.hosts, local_names=True, server="server") if options.guarded else None
        self._counters: dict[tuple[str, int], Any] = {}
        metrics.QUEUED.set_function(lambda: self.status.waiting)
        metrics.RUNNING.set_function(lambda: self.status.running)

    def use(self, app: PotassiumApp, workers: Handlers) -> None:
        """Call the handlers of an app whose init() is done. Any thread may call this."""
        for route in app.routes.values():
            measured = metrics.WAIT.labels(route.path), metrics.RUN.labels(route.path)
            self._routes[route.path] = HostedRoute(app, route.path, route.function, route.background, *measured)
        self._workers = workers
        self.status.ready(workers.count)

    @property
    def is_idle(self) -> bool:
        """Whether no call runs and none waits."""
        return not self._calls

    def cancel_calls(self, reason: str) -> None:
        """Cancel every handler, which stops where it next checks its token."""
        for call in list(self._calls):
            call.handler_call.token.cancel(reason)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        if scope["type"] == "lifespan":
            return await _lifespan(receive, send)
        if scope["type"] != "http":
            return await refuse_websocket(scope, receive, send, "Potassium apps take POST requests", status=400)
        started = time.perf_counter()
        status = await self._answer(scope, receive, send)
        route = scope["path"] if scope["path"] in self._routes or scope["path"] in _STATIC else "other"
        counter = self._counters.get((route, status))
        if counter is None:
            counter = self._counters[route, status] = metrics.REQUESTS.labels(route, status)
        counter.inc()
        if self.options.access_log and scope["path"] not in _STATIC:  # probes come every second
            seconds = time.perf_counter() - started
            path = ascii(scope["path"])[1:-1][:200]
            sys.stderr.write(f"{scope['method']} {path} {status} {seconds * 1000:.1f} ms\n")
        return None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        call = await self._accept(scope, receive)
        if isinstance(call, WireResponse):
            return await send_response(send, call, head_only=scope["method"] == "HEAD")
        if call.route.background:
            return await send_response(send, wire.flask_json({"started": True}))
        return await call.answer(receive, send)

    async def _accept(self, scope: Scope, receive: Receive) -> HostedCall | WireResponse:
        """Accept a request; returns its call, or the response where no handler is needed."""
        method, path = scope["method"], scope["path"]
        if self._guard is not None and (refusal := self._guard.refusal(scope)) is not None:
            return wire.error_response(403, "forbidden", refusal, ("connection", "close"))
        if method != "POST":
            return self._static(path) if method in ("GET", "HEAD") and path in _STATIC else _wrong_method(method, path)
        workers = self._workers
        if workers is None or self.draining:
            return self._not_ready()
        if path in _OWN_PATHS:
            return _wrong_method(method, path)
        if path == "/_k/warmup":
            self.status.accepted()
            self.status.ended(None)
            return wire.flask_json({"warm": True})
        route = self._routes.get(path)
        if route is None:
            self.status.bad()
            return wire.html_page(404)
        if route.background and self._background >= self.options.background_queue:
            message = f"{self._background} background tasks are waiting or running: try again later"
            return wire.error_response(429, "too_many_tasks", message, ("retry-after", "10"))
        body = await self._body(scope, receive)
        if isinstance(body, WireResponse):
            return body
        accepted = self._submit(decode_headers(scope["headers"]), body, route, workers)
        if isinstance(accepted, WireResponse):
            self._held -= len(body)
        return accepted

    def _submit(
        self, headers: list[wire.Header], body: bytes, route: HostedRoute, workers: Handlers
    ) -> HostedCall | WireResponse:
        request = None
        try:
            if len(body) <= PARSED:
                request = route.app.request(headers, body)
            else:
                wire.check_json_type({"content-type": ",".join(v for name, v in headers if name == "content-type")})
                if len(body) <= CHECKED:
                    wire.parse_json(body)
        except wire.BadRequest as problem:
            self.status.bad()
            return wire.error_response(400, problem.code, str(problem))
        waiting = self.status.in_progress - workers.count
        if waiting >= self.options.queue:
            again = str(max(1, math.ceil(waiting / 10)))
            return wire.error_response(503, "busy", "too many requests are waiting", ("retry-after", again), NOT_RUN)
        limit = self.options.background_timeout if route.background else self.options.timeout
        call = HostedCall(self, route, request, headers, body, limit)
        self._calls.add(call)
        self._background += route.background
        self.status.accepted()
        workers.submit(call.handler_call)
        return call

    def _static(self, path: str) -> WireResponse:
        if path in ("/_k/status", "/__status__"):
            return wire.flask_json(self.status.as_dict())
        if path == "/metrics":
            from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

            return WireResponse(200, generate_latest(), [("content-type", CONTENT_TYPE_LATEST)])
        if path == "/readyz":
            if self.draining or self._workers is None:
                return self._not_ready()
            background = sum(call.route.background for call in self._calls)
            counts = {"in_progress": self.status.in_progress, "background": background}
            return wire.flask_json({"ready": True, "concurrency": self.status.concurrency, **counts})
        return wire.flask_json({"alive": True})

    def _not_ready(self) -> WireResponse:
        if self.draining:
            return wire.error_response(503, "stopping", "this server is stopping", ("connection", "close"), NOT_RUN)
        return wire.error_response(503, "loading", f"not ready yet: {self.stage}", ("retry-after", "1"), NOT_RUN)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | WireResponse:
        """Receive the body; returns it, or the response to one that is too large or never comes."""
        length = next((value for key, value in scope["headers"] if key == b"content-length"), b"")
        if length.isdigit() and int(length) > self.options.max_body:
            return self._too_large()
        chunks, size, is_whole = list[bytes](), 0, False
        try:
            while not is_whole:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return WireResponse(400)
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                self._held += len(chunks[-1])
                if size > self.options.max_body:
                    return self._too_large()
                if self._held > max(self.options.body_memory, size):  # a single one always passes
                    message = "the requests that wait hold too much: try again later"
                    return wire.error_response(
                        503, "busy", message, ("retry-after", "5"), ("connection", "close"), NOT_RUN
                    )
                is_whole = not message.get("more_body", False)
            return b"".join(chunks)
        finally:
            if not is_whole:
                self._held -= size

    def _too_large(self) -> WireResponse:
        text = f"at most {self.options.max_body} bytes are allowed"
        return wire.error_response(413, "body_too_large", text, ("connection", "close"))

    def finished(self, call: HostedCall) -> None:
        """Forget a call whose handler has ended."""
        self._calls.discard(call)
        self._background -= call.route.background
        self._held -= call.size


def _wrong_method(method: str, path: str) -> WireResponse:
    return wire.method_not_allowed(method, wire.GET_ONLY if path in _OWN_PATHS else wire.POST_ONLY)


async def _lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})
