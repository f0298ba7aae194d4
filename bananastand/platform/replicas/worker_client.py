"""Asks a Potassium app in our worker, over its socket of frames. Speaks Potassium's HTTP on the worker's behalf."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from bananastand.worker import wire
from bananastand.worker.frames import PREFIX, encode
from bananastand.worker.status import Status

from ..store.bodies import FileBody
from .client import (
    AnswerTooLarge,
    AnswerTooLate,
    ConnectionLost,
    Headers,
    OnChunk,
    OnHead,
    ReplicaAnswer,
    ReplicaRequest,
    RequestNotDelivered,
)

__all__ = ["Phase", "WorkerClient"]

Phase = Literal["loading", "app", "ready", "failed"]
log = logging.getLogger("bananastand.platform")

LARGEST_HEAD = 64 * 2**20  # bytes of a frame's header: paths, headers, names of modules
MOST = 1000  # calls at once
GET_PATHS = ("/_k/status", "/__status__")


@dataclass(slots=True, eq=False)
class _Exchange:
    """A call that the worker has. `events` are what it reports of it; `ended` is done with its last."""

    number: int
    background: bool
    events: asyncio.Queue[tuple[dict[str, Any], bytes]] = field(default_factory=asyncio.Queue)
    ended: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class WorkerClient:
    """One worker's client, from its start. `changed` is set whenever its `phase` has changed.

    Attributes:
        phase: "loading" until the program serves a Potassium app, then "app" until init() is done, "ready" or "failed".
        concurrency: Handlers that may run at once, once it is ready.
        potassium, python: Their versions, once it is ready.
        modules: Names of the modules the app has imported, once it is ready.
        failure: What failed, where the worker said so; why is in its lines.
        lost: Done when the connection has ended.
        on_bound: Called with port asked for, address and port of each listening socket that was moved in Python.
    """

    def __init__(self, largest_answer: int = 256 * 2**20) -> None:
        self.phase: Phase = "loading"
        self.concurrency = 1
        self.potassium = self.python = ""
        self.modules: list[str] = []
        self.failure: str | None = None
        self.on_bound: Callable[[int, str, int], None] | None = None
        self.changed = asyncio.Event()
        self._largest = largest_answer
        self._routes: dict[str, bool] = {}  # path -> background
        self._status = Status()
        self._numbers = itertools.count(1)
        self._exchanges: dict[int, _Exchange] = {}
        self._by_request: dict[int, _Exchange] = {}
        self._pongs: list[asyncio.Future[None]] = []
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._streaming: asyncio.Task[None] | None = None  # sends a body from its file
        self._behind: list[tuple[dict[str, Any], bytes | FileBody]] = []  # frames that wait for it
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def attach(self, connection: Any) -> None:
        """Use a connected stream socket, whose other end the worker has."""
        reader, self._writer = await asyncio.open_unix_connection(sock=connection)
        self._reading = asyncio.create_task(self._read(reader), name="worker frames")

    async def close(self) -> None:
        """End the connection; calls that have no end are lost."""
        if self._streaming is not None:
            self._streaming.cancel()
            await asyncio.wait({self._streaming})
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    @property
    def in_progress(self) -> int:
        """Calls that the worker has, background handlers included."""
        return len(self._exchanges)

    async def is_alive(self, timeout: float) -> bool:
        """Whether the worker's interpreter answers in time."""
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        self._write({"type": "ping"})
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
    ) -> ReplicaAnswer:
        """See ReplicaClient."""
        path = unquote(urlsplit(request.path).path, errors="surrogateescape")
        if (answer := self._answer_without_app(request.method, path)) is not None:
            return answer
        exchange = self._begin(request, path, timeout)
        try:
            async with asyncio.timeout(timeout):
                return await self._collect(exchange, on_head, on_chunk)
        except TimeoutError:
            self._cancel(exchange, "out of time")
            raise AnswerTooLate from None
        except asyncio.CancelledError:
            self._cancel(exchange, "the caller is gone")
            raise

    def runs_on(self, request: ReplicaRequest) -> bool:
        """Whether the handler of a request that was answered, or given up, still runs."""
        exchange = self._by_request.get(id(request))
        return exchange is not None and not exchange.ended.done()

    async def until_done(self, request: ReplicaRequest, limit: float) -> bool:
        """Wait until the handler of a request has ended; whether it did so in `limit` seconds."""
        exchange = self._by_request.get(id(request))
        if exchange is None:
            return True
        await asyncio.wait({exchange.ended}, timeout=limit)
        return exchange.ended.done()

    def is_background(self, request: ReplicaRequest) -> bool:
        """Whether the request is for a background handler."""
        return self._routes.get(unquote(urlsplit(request.path).path, errors="surrogateescape"), False)

    def _answer_without_app(self, method: str, path: str) -> ReplicaAnswer | None:
        """What Potassium's own server answers without calling a handler."""
        if path in GET_PATHS:
            if method in ("GET", "HEAD"):
                return _answer(wire.flask_json(self._status.as_dict()), head=method == "HEAD")
            return _answer(wire.not_allowed(method, wire.GET_ONLY))
        if method != "POST":
            return _answer(wire.not_allowed(method), head=method == "HEAD")
        if path == "/_k/warmup":
            self._status.accepted()
            self._status.ended(None)
            return _answer(wire.flask_json({"warm": True}))
        if path not in self._routes:
            self._status.bad()
            return _answer(wire.page(404))
        return None

    def _begin(self, request: ReplicaRequest, path: str, timeout: float) -> _Exchange:
        """Hand a call to the worker. Raises RequestNotDelivered."""
        if self._writer is None or self._writer.is_closing() or self.lost.done():
            raise RequestNotDelivered("the worker is gone")
        exchange = _Exchange(next(self._numbers), self._routes[path])
        self._exchanges[exchange.number] = exchange
        self._by_request[id(request)] = exchange
        exchange.ended.add_done_callback(lambda _: self._by_request.pop(id(request), None))
        self._status.accepted()
        self._status.began(exchange)
        headers = [[name, value] for name, value in request.headers]
        head: dict[str, Any] = {"type": "call", "call": exchange.number, "path": path, "headers": headers}
        head["timeout"] = None if exchange.background else timeout
        if isinstance(request.body, bytes):
            self._write(head, request.body)
        else:
            self._stream(head, request.body)
        return exchange

    async def _collect(self, exchange: _Exchange, on_head: OnHead | None, on_chunk: OnChunk | None) -> ReplicaAnswer:
        status, headers, pieces, size = 0, Headers(), list[bytes](), 0
        while True:
            event, body = await exchange.events.get()
            match event["type"]:
                case "started":
                    return _answer(wire.flask_json({"started": True}))
                case "head":
                    status, headers = event["status"], _headers(event["headers"])
                    if on_head is not None:
                        on_head(status, headers)
                case "chunk":
                    pieces.append(body)
                    size += len(body)
                    if size > self._largest:
                        self._cancel(exchange, "the answer is too large")
                        raise AnswerTooLarge
                    if on_chunk is not None:
                        await on_chunk(body)
                case "end":
                    if status and "error" not in event and "cancelled" not in event:
                        return ReplicaAnswer(status, headers, b"".join(pieces))
                    return await self._last(event, body, bool(status), on_head, on_chunk)
                case _:  # lost
                    raise ConnectionLost("the worker is gone")

    async def _last(
        self, event: dict[str, Any], body: bytes, streamed: bool, on_head: OnHead | None, on_chunk: OnChunk | None
    ) -> ReplicaAnswer:
        """The answer that an end frame is."""
        if streamed:
            raise ConnectionLost(_reason(event))
        if refused := event.get("refused"):
            answer = _answer(wire.error(400, refused["code"], refused["message"]))
        elif error := event.get("error"):
            text = f"the handler failed; error id {error['id']}"
            answer = _answer(wire.error(500, "internal", text))
        elif (reason := event.get("cancelled")) is not None:
            status, code = (504, "timeout") if reason == "out of time" else (503, "cancelled")
            answer = _answer(wire.error(status, code, f"the request was cancelled: {reason}"))
        else:
            answer = ReplicaAnswer(event["status"], _headers(event["headers"]), body)
        if on_head is not None:
            on_head(answer.status, answer.headers)
        if on_chunk is not None and answer.body:
            await on_chunk(answer.body)
        return answer

    def _cancel(self, exchange: _Exchange, reason: str) -> None:
        if not exchange.background:
            self._write({"type": "cancel", "call": exchange.number, "reason": reason})

    def _write(self, header: dict[str, Any], body: bytes = b"") -> None:
        if self._writer is None or self._writer.is_closing():
            return
        if self._streaming is not None:  # no frame may stand inside another
            self._behind.append((header, body))
        else:
            self._writer.write(encode(header, body))

    def _stream(self, header: dict[str, Any], body: FileBody) -> None:
        """Send a body from its file, without holding more than a piece of it."""
        if self._streaming is not None:
            self._behind.append((header, body))
        elif self._writer is not None:
            self._streaming = asyncio.create_task(self._send_pieces(self._writer, header, body))

    async def _send_pieces(self, writer: asyncio.StreamWriter, header: dict[str, Any], body: FileBody) -> None:
        head = json.dumps(header, separators=(",", ":")).encode()
        writer.write(PREFIX.pack(len(head), len(body)) + head)
        sent = 0
        try:
            async for piece in body.chunks():
                writer.write(piece)
                sent += len(piece)
                await writer.drain()
        except OSError:
            pass
        self._streaming = None
        if sent != len(body):
            writer.close()  # what follows would be taken for the rest of the body
        behind, self._behind = self._behind, []
        for next_header, next_body in behind:
            if isinstance(next_body, bytes):
                self._write(next_header, next_body)
            else:
                self._stream(next_header, next_body)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                head_size, body_size = PREFIX.unpack(await reader.readexactly(PREFIX.size))
                if head_size > LARGEST_HEAD or body_size > self._largest + LARGEST_HEAD:
                    return
                header: dict[str, Any] = json.loads(await reader.readexactly(head_size))
                self._take(header, await reader.readexactly(body_size) if body_size else b"")
        except (asyncio.IncompleteReadError, OSError):
            pass
        except Exception as error:
            log.warning("a worker sent no frame that this program knows: %s: %s", type(error).__name__, error)
        finally:
            if not self.lost.done():
                self.lost.set_result(None)
            for exchange in list(self._exchanges.values()):
                self._over(exchange, {"type": "lost"}, b"")
            self.changed.set()

    def _take(self, event: dict[str, Any], body: bytes) -> None:
        match event["type"]:
            case "started" | "head" | "chunk":
                if (exchange := self._exchanges.get(event["call"])) is not None:
                    exchange.events.put_nowait((event, body))
            case "end":
                if (exchange := self._exchanges.get(event["call"])) is not None:
                    self._over(exchange, event, body)
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
                self.concurrency, self.modules = min(event["concurrency"], MOST), event["modules"]
                self.potassium, self.python = event["potassium"], event["python"]
                self._status.ready(self.concurrency)
                self.phase = "ready"
                self.changed.set()
            case "failed":
                self.failure, self.phase = f"{event['stage']} failed", "failed"
                self.changed.set()
            case _:
                pass

    def _over(self, exchange: _Exchange, event: dict[str, Any], body: bytes) -> None:
        self._exchanges.pop(exchange.number, None)
        self._status.ended(exchange)
        exchange.events.put_nowait((event, body))
        if not exchange.ended.done():
            exchange.ended.set_result(None)


def _reason(event: dict[str, Any]) -> str:
    error = event.get("error")
    return error["message"] if error else str(event.get("cancelled", "the worker is gone"))


def _headers(pairs: list[list[str]]) -> Headers:
    return tuple((name.lower(), value) for name, value in pairs)


def _answer(answer: wire.Answer, *, head: bool = False) -> ReplicaAnswer:
    return ReplicaAnswer(answer.status, tuple(answer.headers), b"" if head else answer.body)
