"""Asks an app that is an HTTP server of its own. Keeps nothing between requests but open connections."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncGenerator
from typing import Any

import httpcore2

from ..store.bodies import FileBody
from .client import (
    AnswerMalformed,
    AnswerTooLarge,
    AnswerTooLate,
    ConnectionLost,
    Headers,
    OnChunk,
    OnHead,
    ReplicaAnswer,
    ReplicaBusy,
    ReplicaRequest,
    RequestNotDelivered,
    RequestNotSendable,
)

__all__ = ["HttpClient"]

NOT_RUN = "x-bananastand-not-run"  # of `bananastand serve`, with the replica's id
ENDPOINT_TYPE = "x-endpoint-type"  # of Potassium's own server, 0.1 to 0.3, on all that it answers
ENDPOINT_TYPES = ("handler", "background")

CONNECT = 5.0  # seconds for a connection
PROBE = 2.0  # seconds for the answer to a health question
LOOK, LOOK_MOST = 0.05, 2.0  # seconds between two looks at a background task
OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)  # of ours
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding")
    + ("upgrade", "content-length")
)


class HttpClient:
    """One replica's client.

    Args:
        address: Where the app listens.
        largest_answer: Bytes that are read of one.
        replica: The id that the replica has in its environment, by which `bananastand serve` is known.
        is_potassium: Whether the app is left to Potassium's own server.
    """

    def __init__(
        self,
        address: tuple[str, int],
        largest_answer: int = 256 * 2**20,
        *,
        replica: str = "",
        is_potassium: bool = False,
    ) -> None:
        self.address, self._largest = address, largest_answer
        self._replica, self._is_potassium = replica, is_potassium
        self._pool = httpcore2.AsyncConnectionPool(
            max_connections=None, max_keepalive_connections=8, keepalive_expiry=20.0
        )
        host, port = address
        self._origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._host = f"{'localhost' if ':' in host else host}:{port}".encode()

    async def close(self) -> None:
        """End all connections."""
        await self._pool.aclose()

    async def send(
        self,
        request: ReplicaRequest,
        timeout: float,
        *,
        on_head: OnHead | None = None,
        on_chunk: OnChunk | None = None,
    ) -> ReplicaAnswer:
        """See ReplicaClient."""
        answer = await self._send(request, timeout, on_head, on_chunk)
        if self._says_not_run(answer):
            raise ReplicaBusy
        return answer

    async def _send(
        self, request: ReplicaRequest, timeout: float, on_head: OnHead | None = None, on_chunk: OnChunk | None = None
    ) -> ReplicaAnswer:
        head = list[int]()

        def begin(status: int, headers: Headers) -> None:
            head.append(status)
            if on_head is not None:
                on_head(status, headers)

        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(request, begin, on_chunk)
        except TimeoutError:
            raise AnswerTooLate from None
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout) as error:
            if isinstance(error, httpcore2.PoolTimeout) or _errno(error) in OUT_OF_RESOURCES:
                raise ReplicaBusy(str(error)) from error
            raise RequestNotDelivered(str(error)) from error
        except (httpcore2.LocalProtocolError, UnicodeEncodeError) as error:
            raise RequestNotSendable(str(error)) from error
        except httpcore2.RemoteProtocolError as error:
            if not head and not all(isinstance(each, str) for each in error.args):  # h11's error: what came is not HTTP
                raise AnswerMalformed(str(error)) from error
            raise ConnectionLost(str(error)) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            raise ConnectionLost(f"{type(error).__name__}: {error}") from error

    async def get(self, path: str, timeout: float = PROBE) -> ReplicaAnswer | None:
        """What a health question is answered; None if nothing answers in time."""
        probe = ReplicaRequest("GET", path, (("accept", "*/*"),), b"")
        try:
            return await self._send(probe, timeout)
        except (RequestNotDelivered, ReplicaBusy, ConnectionLost, AnswerMalformed, AnswerTooLate, AnswerTooLarge):
            return None

    async def connects(self, timeout: float) -> bool:
        """Whether its port takes a connection in time."""
        try:
            async with asyncio.timeout(timeout):
                _, writer = await asyncio.open_connection(*self.address)
        except (OSError, TimeoutError):
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    async def until_done(self, limit: float) -> bool:
        """Wait until the app says at /_k/status that it is free; True at once if it does not say.

        False if it answers nothing, or is not free in `limit` seconds.
        """
        pause = LOOK
        try:
            async with asyncio.timeout(limit):
                while True:
                    answer = await self.get("/_k/status")
                    if answer is not None:
                        status = answer.json() if answer.status == 200 else None
                        if not isinstance(status, dict) or status.get("gpu_available") is not False:
                            return True
                    await asyncio.sleep(pause)
                    pause = min(LOOK_MOST, pause * 1.5)
        except TimeoutError:
            return False

    def _says_not_run(self, answer: ReplicaAnswer) -> bool:
        """Whether a server that the platform knows says that no handler has run: ours, or Potassium's own.

        Ours proves itself; Potassium's is known by the project's setting. The same status from any other server is the
        app's answer, whatever its headers.
        """
        named = dict(answer.headers)
        if answer.status == 423:
            return self._is_potassium and not answer.body and named.get(ENDPOINT_TYPE) in ENDPOINT_TYPES
        return answer.status == 503 and self._replica != "" and named.get(NOT_RUN) == self._replica

    async def _exchange(self, request: ReplicaRequest, on_head: OnHead, on_chunk: OnChunk | None) -> ReplicaAnswer:
        headers: list[tuple[bytes, bytes]] = [(b"host", self._host)]
        headers += [(name.encode("latin-1"), value.strip().encode("latin-1")) for name, value in request.headers]
        if request.body or request.method not in ("GET", "HEAD", "OPTIONS", "DELETE"):
            headers.append((b"content-length", str(len(request.body)).encode()))
        extensions: dict[str, Any] = {"timeout": {"connect": CONNECT, "pool": CONNECT}, "target": _target(request.path)}
        async with self._pool.stream(
            request.method, self._origin, headers=headers, content=_content(request.body), extensions=extensions
        ) as response:
            kept = _kept(response.headers)
            on_head(response.status, kept)
            pieces, size = list[bytes](), 0
            async for piece in response.aiter_stream():
                pieces.append(piece)
                size += len(piece)
                if size > self._largest:
                    raise AnswerTooLarge
                if on_chunk is not None:
                    await on_chunk(piece)
            _drop_if_more_came(response)
            return ReplicaAnswer(response.status, kept, b"".join(pieces))


def _drop_if_more_came(response: httpcore2.Response) -> None:
    """Let the connection end where the app has sent more than its answer: the next caller would get it.

    What comes later makes the idle connection readable, and the pool does not use it again.
    """
    state: Any = response.stream
    for name in ("_stream", "_connection", "_h11_state"):
        state = getattr(state, name)
    if state.trailing_data[0]:
        state.send_failed()


def _target(path: str) -> bytes:
    return path.encode("latin-1") or b"/"


def _errno(error: BaseException | None) -> int | None:
    """The system's reason, wherever in the chain of causes it is."""
    while error is not None:
        if isinstance(error, OSError):
            return error.errno
        error = error.__cause__ or error.__context__
    return None


def _content(body: bytes | FileBody) -> bytes | AsyncGenerator[bytes]:
    return body if isinstance(body, bytes) else body.chunks()


def _kept(headers: list[tuple[bytes, bytes]]) -> Headers:
    """Without those that belong to the connection alone."""
    named = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
    listed = {each.strip().lower() for name, value in named if name == "connection" for each in value.split(",")}
    return tuple((name, value) for name, value in named if name not in HOP_BY_HOP and name not in listed)
