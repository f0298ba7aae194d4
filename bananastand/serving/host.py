"""The ASGI application in front of a Potassium app: routes, limits, streams, health. Runs no handler itself."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import MutableMapping
from typing import Any

from ..asgi.host_guard import HostGuard
from ..asgi.responses import refuse_websocket
from ..worker.handlers import Handlers
from ..worker.potassium_app import PotassiumApp
from ..worker.status import Status
from . import metrics, wire
from .exchange import Exchange, Receive, Route, Send, send_answer
from .options import Options
from .wire import Answer

__all__ = ["Host"]

Scope = MutableMapping[str, Any]

# Says that no handler has run, so that the platform may ask again. An app's own answers cannot carry it. The platform
# believes it of a replica that names itself as the platform did in its environment, and of no other server.
NOT_RUN = (b"x-bananastand-not-run", os.environ.get("BANANASTAND_REPLICA", "1").encode("latin-1", "replace"))
PARSED = 4096  # bytes of a body that waits as what its JSON says; larger ones take less memory as they are
_OURS = frozenset(("/healthz", "/readyz", "/ping", "/metrics"))
_STATIC = _OURS | {"/_k/status", "/__status__"}


class Host:
    """Answers for an app from the moment the port is open; until `run` has its workers ready with 503."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.status = Status()
        self.stage = "starting"  # what a caller is told while there is no app yet
        self.draining = False
        self._routes: dict[str, Route] = {}
        self._workers: Handlers | None = None
        self._calls: set[Exchange] = set()
        self._background = 0  # of the calls
        self._held = 0  # bytes of their bodies, and of those that come
        self._guard = HostGuard(options.hosts, local_names=True, server="server") if options.guarded else None
        self._counters: dict[tuple[str, int], Any] = {}
        metrics.QUEUED.set_function(lambda: self.status.waiting)
        metrics.RUNNING.set_function(lambda: self.status.running)

    def use(self, app: PotassiumApp, workers: Handlers) -> None:
        """The app's init() is done: from now on its handlers are called. Any thread may say so."""
        for route in app.routes.values():
            measured = metrics.WAIT.labels(route.path), metrics.RUN.labels(route.path)
            self._routes[route.path] = Route(route.path, route.function, route.background, *measured)
        self._workers = workers
        self.status.ready(workers.count)

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return not self._calls

    def call_off(self, reason: str) -> None:
        """Tell every handler to stop at its next chance."""
        for exchange in list(self._calls):
            exchange.call.token.cancel(reason)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
        if self.options.access_log and scope["path"] not in _STATIC:  # probes come every second and say nothing
            seconds = time.perf_counter() - started
            path = ascii(scope["path"])[1:-1][:200]
            sys.stderr.write(f"{scope['method']} {path} {status} {seconds * 1000:.1f} ms\n")
        return None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        exchange = await self._accept(scope, receive)
        if isinstance(exchange, Answer):
            return await send_answer(send, exchange, head_only=scope["method"] == "HEAD")
        if exchange.route.background:
            return await send_answer(send, wire.flask_json({"started": True}))
        return await exchange.answer(receive, send)

    async def _accept(self, scope: Scope, receive: Receive) -> Exchange | Answer:
        """The call, on its way to the workers, or the answer where there is nothing for them to do."""
        method, path = scope["method"], scope["path"]
        if self._guard is not None and (refusal := self._guard.refusal(scope)) is not None:
            return wire.error(403, "forbidden", refusal, (b"connection", b"close"))
        if method != "POST":
            return self._static(path) if method in ("GET", "HEAD") and path in _STATIC else _wrong_method(method, path)
        workers = self._workers
        if workers is None or self.draining:
            return self._not_ready()
        if path in _OURS:
            return _wrong_method(method, path)
        if path == "/_k/warmup":
            self.status.accepted()
            self.status.ended(None)
            return wire.flask_json({"warm": True})
        route = self._routes.get(path)
        if route is None:
            self.status.bad()
            return wire.werkzeug_page(404)
        if route.background and self._background >= self.options.background_queue:
            message = f"{self._background} background tasks are waiting or running: try again later"
            return wire.error(429, "too_many_tasks", message, (b"retry-after", b"10"))
        body = await self._body(scope, receive)
        if isinstance(body, Answer):
            return body
        accepted = self._accepted(scope["headers"], body, route, workers)
        if isinstance(accepted, Answer):
            self._held -= len(body)
        return accepted

    def _accepted(self, headers: list[wire.Header], body: bytes, route: Route, workers: Handlers) -> Exchange | Answer:
        request = None
        try:
            if len(body) <= PARSED:
                request = wire.read_request(headers, body)
            else:
                wire.check_request(headers, body)
        except wire.BadRequest as problem:
            self.status.bad()
            return wire.error(400, problem.code, str(problem))
        waiting = self.status.in_progress - workers.count
        if waiting >= self.options.queue:
            again = str(max(1, math.ceil(waiting / 10))).encode()
            return wire.error(503, "busy", "too many requests are waiting", (b"retry-after", again), NOT_RUN)
        limit = self.options.background_timeout if route.background else self.options.timeout
        exchange = Exchange(self, route, request, headers, body, limit)
        self._calls.add(exchange)
        self._background += route.background
        self.status.accepted()
        workers.submit(exchange.call)
        return exchange

    def _static(self, path: str) -> Answer:
        if path in ("/_k/status", "/__status__"):
            return wire.flask_json(self.status.as_dict())
        if path == "/metrics":
            from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

            return Answer(200, generate_latest(), [(b"content-type", CONTENT_TYPE_LATEST.encode())])
        if path == "/readyz":
            if self.draining or self._workers is None:
                return self._not_ready()
            background = sum(each.route.background for each in self._calls)
            there = {"in_progress": self.status.in_progress, "background": background}
            return wire.flask_json({"ready": True, "concurrency": self.status.slots, **there})
        return wire.flask_json({"alive": True})

    def _not_ready(self) -> Answer:
        if self.draining:
            return wire.error(503, "stopping", "this server is stopping", (b"connection", b"close"), NOT_RUN)
        return wire.error(503, "loading", f"not ready yet: {self.stage}", (b"retry-after", b"1"), NOT_RUN)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | Answer:
        """The request's body, or the answer to one that is too large or never comes."""
        length = next((value for key, value in scope["headers"] if key == b"content-length"), b"")
        if length.isdigit() and int(length) > self.options.max_body:
            return self._too_large()
        chunks, size, is_whole = list[bytes](), 0, False
        try:
            while not is_whole:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return Answer(400)
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                self._held += len(chunks[-1])
                if size > self.options.max_body:
                    return self._too_large()
                if self._held > max(self.options.body_memory, size):  # one alone always passes
                    message = "the requests that wait hold too much: try again later"
                    return wire.error(503, "busy", message, (b"retry-after", b"5"), (b"connection", b"close"), NOT_RUN)
                is_whole = not message.get("more_body", False)
            return b"".join(chunks)
        finally:
            if not is_whole:
                self._held -= size

    def _too_large(self) -> Answer:
        text = f"at most {self.options.max_body} bytes are allowed"
        return wire.error(413, "body_too_large", text, (b"connection", b"close"))

    def over(self, exchange: Exchange) -> None:
        """A handler is done."""
        self._calls.discard(exchange)
        self._background -= exchange.route.background
        self._held -= exchange.size


def _wrong_method(method: str, path: str) -> Answer:
    allow = (b"allow", b"GET, HEAD, OPTIONS" if path in _OURS else b"OPTIONS, POST")
    if method == "OPTIONS":
        return Answer(200, b"", [(b"content-type", b"text/html; charset=utf-8"), allow])
    return wire.werkzeug_page(405, allow)


async def _lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})
