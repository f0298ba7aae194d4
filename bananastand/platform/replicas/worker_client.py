"""Sends requests to a Potassium app in the worker, over its socket of frames, and acts as Potassium's HTTP server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from bananastand.worker import wire
from bananastand.worker.status import Status

from .client import (
    ConnectionLost,
    Headers,
    OnChunk,
    OnHead,
    ReplicaRequest,
    ReplicaResponse,
    RequestNotDelivered,
    ResponseTimeout,
    ResponseTooLarge,
)
from .worker_connection import OpenStream, WorkerConnection

__all__ = ["Phase", "WorkerClient"]

Phase = Literal["loading", "app", "ready", "failed"]

MAX_CONCURRENCY = 1000
STATUS_PATHS = ("/_k/status", "/__status__")


@dataclass(slots=True, eq=False)
class _WorkerCall:
    """A call that the worker has.

    Attributes:
        number: Of the call, in its frames.
        background: Whether it is answered before its handler runs.
        events: The frames about it.
        ended: Done after its last frame.
    """

    number: int
    background: bool
    events: asyncio.Queue[tuple[dict[str, Any], bytes]] = field(default_factory=asyncio.Queue)
    ended: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class WorkerClient:
    """The client of one worker, from its start.

    Args:
        max_response: Bytes of a response's body.

    Attributes:
        phase: "loading" until the program serves a Potassium app, then "app" until init() has returned, "ready" or
            "failed".
        concurrency: Handlers that may run at once, once it is ready.
        potassium: The version of Potassium, once it is ready.
        python: The version of Python, once it is ready.
        modules: Names of the modules that the app has imported, once it is ready.
        failure: The step that failed, where the worker reported it.
        changed: Set whenever `phase` has changed.
        on_bound: Called with requested port, address and port of each listening socket that was moved in Python.
    """

    def __init__(self, max_response: int = 256 * 2**20) -> None:
        self.phase: Phase = "loading"
        self.concurrency = 1
        self.potassium = self.python = ""
        self.modules: list[str] = []
        self.failure: str | None = None
        self.on_bound: Callable[[int, str, int], None] | None = None
        self.changed = asyncio.Event()
        self._max_response = max_response
        self._routes: dict[str, bool] = {}  # path -> background
        self._status = Status()
        self._numbers = itertools.count(1)
        self._calls: dict[int, _WorkerCall] = {}
        self._by_request: dict[int, _WorkerCall] = {}
        self._pongs: list[asyncio.Future[None]] = []
        self._connection = WorkerConnection(max_response, self._handle_frame, self._end_all_calls)

    @property
    def lost(self) -> asyncio.Future[None]:
        """Done when the connection to the worker has ended."""
        return self._connection.lost

    async def attach(self, connection: Any) -> None:
        """Use a connected stream socket, whose other end the worker has."""
        await self._connection.attach(connection)

    async def connect(self, open_stream: OpenStream) -> None:
        """Use the stream that `open_stream` opens, whose other end the worker has. Raises OSError."""
        await self._connection.connect(open_stream)

    async def close(self) -> None:
        """Close the connection; calls in progress are lost."""
        await self._connection.close()

    @property
    def in_progress(self) -> int:
        """The number of calls that the worker has, background handlers included."""
        return len(self._calls)

    async def is_alive(self, timeout: float) -> bool:
        """Whether the worker's interpreter answers in `timeout` seconds."""
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        self._connection.send({"type": "ping"})
        try:
            await asyncio.wait({pong, self.lost}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not pong.done():
                self._pongs.remove(pong)
        return pong.done()

    async def send(
        self,
        request: ReplicaRequest,
        timeout: float,
        *,
        on_head: OnHead | None = None,
        on_chunk: OnChunk | None = None,
    ) -> ReplicaResponse:
        """Send a request, as `ReplicaClient.send` describes it."""
        path = _path_of(request)
        if (response := self._respond_without_app(request.method, path)) is not None:
            return response
        call = self._begin(request, path, timeout)
        try:
            async with asyncio.timeout(timeout):
                return await self._collect(call, on_head, on_chunk)
        except TimeoutError:
            self._cancel(call, "out of time")
            raise ResponseTimeout from None
        except ResponseTooLarge:
            self._cancel(call, "the answer is too large")
            raise
        except asyncio.CancelledError:
            self._cancel(call, "the caller is gone")
            raise

    def runs_on(self, request: ReplicaRequest) -> bool:
        """Whether the handler of a request still runs, though it was answered or given up."""
        call = self._by_request.get(id(request))
        return call is not None and not call.ended.done()

    async def until_done(self, request: ReplicaRequest, limit: float) -> bool:
        """Wait for the handler of a request; returns whether it ended in `limit` seconds."""
        call = self._by_request.get(id(request))
        if call is None:
            return True
        await asyncio.wait({call.ended}, timeout=limit)
        return call.ended.done()

    def is_background(self, request: ReplicaRequest) -> bool:
        """Whether the request is for a background handler."""
        return self._routes.get(_path_of(request), False)

    def _respond_without_app(self, method: str, path: str) -> ReplicaResponse | None:
        """Return the response that Potassium's own server makes without a handler; None where a handler is needed."""
        if path in STATUS_PATHS:
            if method in ("GET", "HEAD"):
                return _response(wire.flask_json(self._status.as_dict()), head=method == "HEAD")
            return _response(wire.method_not_allowed(method, wire.GET_ONLY))
        if method != "POST":
            return _response(wire.method_not_allowed(method), head=method == "HEAD")
        if path == "/_k/warmup":
            self._status.accepted()
            self._status.ended(None)
            return _response(wire.flask_json({"warm": True}))
        if path not in self._routes:
            self._status.bad()
            return _response(wire.html_page(404))
        return None

    def _begin(self, request: ReplicaRequest, path: str, timeout: float) -> _WorkerCall:
        """Send a call to the worker. Raises RequestNotDelivered."""
        if not self._connection.is_open:
            raise RequestNotDelivered("the worker is gone")
        call = _WorkerCall(next(self._numbers), self._routes[path])
        self._calls[call.number] = call
        self._by_request[id(request)] = call
        call.ended.add_done_callback(lambda _: self._by_request.pop(id(request), None))
        self._status.accepted()
        self._status.began(call)
        headers = [[name, value] for name, value in request.headers]
        header: dict[str, Any] = {"type": "call", "call": call.number, "path": path, "headers": headers}
        header["timeout"] = None if call.background else timeout
        self._connection.send(header, request.body)
        return call

    async def _collect(self, call: _WorkerCall, on_head: OnHead | None, on_chunk: OnChunk | None) -> ReplicaResponse:
        status, headers, chunks, size = 0, Headers(), list[bytes](), 0
        while True:
            event, body = await call.events.get()
            match event["type"]:
                case "started":
                    return _response(wire.flask_json({"started": True}))
                case "head":
                    status, headers = event["status"], _headers(event["headers"])
                    if on_head is not None:
                        on_head(status, headers)
                case "chunk":
                    chunks.append(body)
                    size += len(body)
                    if size > self._max_response:
                        raise ResponseTooLarge
                    if on_chunk is not None:
                        await on_chunk(body)
                case "end":
                    if status and "error" not in event and "cancelled" not in event:
                        return ReplicaResponse(status, headers, b"".join(chunks))
                    return await self._final_response(event, body, bool(status), on_head, on_chunk)
                case _:  # lost
                    raise ConnectionLost("the worker is gone")

    async def _final_response(
        self, event: dict[str, Any], body: bytes, streamed: bool, on_head: OnHead | None, on_chunk: OnChunk | None
    ) -> ReplicaResponse:
        """Return the response of an end frame."""
        if streamed:
            raise ConnectionLost(_failure_of(event))
        if refused := event.get("refused"):
            response = _response(wire.error_response(400, refused["code"], refused["message"]))
        elif error := event.get("error"):
            text = f"the handler failed; error id {error['id']}"
            response = _response(wire.error_response(500, "internal", text))
        elif (reason := event.get("cancelled")) is not None:
            status, code = (504, "timeout") if reason == "out of time" else (503, "cancelled")
            response = _response(wire.error_response(status, code, f"the request was cancelled: {reason}"))
        else:
            response = ReplicaResponse(event["status"], _headers(event["headers"]), body)
        if on_head is not None:
            on_head(response.status, response.headers)
        if on_chunk is not None and response.body:
            await on_chunk(response.body)
        return response

    def _cancel(self, call: _WorkerCall, reason: str) -> None:
        if not call.background:
            self._connection.send({"type": "cancel", "call": call.number, "reason": reason})

    def _handle_frame(self, event: dict[str, Any], body: bytes) -> None:
        match event["type"]:
            case "started" | "head" | "chunk":
                if (call := self._calls.get(event["call"])) is not None:
                    call.events.put_nowait((event, body))
            case "end":
                if (call := self._calls.get(event["call"])) is not None:
                    self._end(call, event, body)
            case "pong":
                for pong in self._pongs:
                    if not pong.done():
                        pong.set_result(None)
                self._pongs.clear()
            case "bound":
                if self.on_bound is not None:
                    self.on_bound(event["bound"], event["address"], event["port"])
            case "app":
                self.phase = "app"
                self.changed.set()
            case "ready":
                self._routes = dict(event["routes"])
                self.concurrency, self.modules = min(event["concurrency"], MAX_CONCURRENCY), event["modules"]
                self.potassium, self.python = event["potassium"], event["python"]
                self._status.ready(self.concurrency)
                self.phase = "ready"
                self.changed.set()
            case "failed":
                self.failure, self.phase = f"{event['stage']} failed", "failed"
                self.changed.set()
            case _:
                pass

    def _end_all_calls(self) -> None:
        """End the calls of a lost connection."""
        for call in list(self._calls.values()):
            self._end(call, {"type": "lost"}, b"")
        self.changed.set()

    def _end(self, call: _WorkerCall, event: dict[str, Any], body: bytes) -> None:
        self._calls.pop(call.number, None)
        self._status.ended(call)
        call.events.put_nowait((event, body))
        if not call.ended.done():
            call.ended.set_result(None)


def _path_of(request: ReplicaRequest) -> str:
    return _decoded_path(request.path)


@lru_cache(256)
def _decoded_path(target: str) -> str:
    return unquote(urlsplit(target).path, errors="surrogateescape")


def _failure_of(event: dict[str, Any]) -> str:
    error = event.get("error")
    return error["message"] if error else str(event.get("cancelled", "the worker is gone"))


def _headers(pairs: list[list[str]]) -> Headers:
    return tuple((name.lower(), value) for name, value in pairs)


def _response(response: wire.WireResponse, *, head: bool = False) -> ReplicaResponse:
    return ReplicaResponse(response.status, tuple(response.headers), b"" if head else response.body)
