"""Sends requests to an app that is an HTTP server of its own."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncGenerator
from typing import Any

import httpcore2

from ..nodes import Address, Connect
from ..store.bodies import FileBody
from .client import (
    ConnectionLost,
    Headers,
    OnChunk,
    OnHead,
    ReplicaBusy,
    ReplicaRequest,
    ReplicaResponse,
    RequestNotDelivered,
    RequestNotSendable,
    ResponseMalformed,
    ResponseTimeout,
    ResponseTooLarge,
)
from .connected_backend import ConnectedBackend

__all__ = ["HttpClient"]

NOT_RUN = "x-bananastand-not-run"  # sent by `bananastand serve`, with the replica's id
ENDPOINT_TYPE = "x-endpoint-type"  # sent by Potassium's own server, 0.1 to 0.3, with every response
ENDPOINT_TYPES = ("handler", "background")

CONNECT_TIMEOUT = 5.0  # seconds
PROBE_TIMEOUT = 2.0  # seconds for the response to a health check
POLL_INTERVAL, MAX_POLL_INTERVAL = 0.05, 2.0  # seconds between two looks at a background task
OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)  # of this process
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding")
    + ("upgrade", "content-length")
)


class _Backend(httpcore2.AsyncNetworkBackend):
    """Connects, also where uvloop has lost the socket of a connection that the app reset at once."""

    async def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        """Connect. Raises ConnectError."""
        backend: Any = httpcore2.AnyIOBackend()
        stream = await backend.connect_tcp(*args, **kwargs)
        try:
            stream.get_extra_info("socket")  # from now on the transport remembers it
        except AttributeError:
            raise httpcore2.ConnectError("the connection was reset at once") from None
        return stream


class HttpClient:
    """The client of one replica. It keeps connections open between requests.

    Args:
        address: Of the app.
        max_response: Bytes of a response's body.
        replica: The replica's id, by which `bananastand serve` identifies itself; empty for another server.
        is_potassium: Whether the app runs on Potassium's own server.
        connect: Opens connections; None for plain TCP from this machine.
    """

    def __init__(
        self,
        address: Address,
        max_response: int = 256 * 2**20,
        *,
        replica: str = "",
        is_potassium: bool = False,
        connect: Connect | None = None,
    ) -> None:
        self.address, self._max_response = address, max_response
        self._replica, self._is_potassium = replica, is_potassium
        self._connect = connect
        self._pool = httpcore2.AsyncConnectionPool(
            max_connections=None,
            max_keepalive_connections=8,
            keepalive_expiry=20.0,
            network_backend=_Backend() if connect is None else ConnectedBackend(connect),
        )
        host, port = address
        self._origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._host = f"{'localhost' if ':' in host else host}:{port}".encode()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def send(
        self,
        request: ReplicaRequest,
        timeout: float,
        *,
        on_head: OnHead | None = None,
        on_chunk: OnChunk | None = None,
    ) -> ReplicaResponse:
        """Send a request, as `ReplicaClient.send` describes it."""
        response = await self._send(request, timeout, on_head, on_chunk)
        if self._says_not_run(response):
            raise ReplicaBusy
        return response

    async def _send(
        self, request: ReplicaRequest, timeout: float, on_head: OnHead | None = None, on_chunk: OnChunk | None = None
    ) -> ReplicaResponse:
        head = list[int]()

        def begin(status: int, headers: Headers) -> None:
            head.append(status)
            if on_head is not None:
                on_head(status, headers)

        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(request, begin, on_chunk)
        except TimeoutError:
            raise ResponseTimeout from None
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout) as error:
            if isinstance(error, httpcore2.PoolTimeout) or _errno(error) in OUT_OF_RESOURCES:
                raise ReplicaBusy(str(error)) from error
            raise RequestNotDelivered(str(error)) from error
        except (httpcore2.LocalProtocolError, UnicodeEncodeError) as error:
            raise RequestNotSendable(str(error)) from error
        except httpcore2.RemoteProtocolError as error:
            if not head and not all(isinstance(part, str) for part in error.args):  # h11's error: not HTTP
                raise ResponseMalformed(str(error)) from error
            raise ConnectionLost(str(error)) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            raise ConnectionLost(f"{type(error).__name__}: {error}") from error

    async def get(self, path: str, timeout: float = PROBE_TIMEOUT) -> ReplicaResponse | None:
        """Send a health check; returns None if no response arrives in `timeout` seconds."""
        probe = ReplicaRequest("GET", path, (("accept", "*/*"),), b"")
        try:
            return await self._send(probe, timeout)
        except (RequestNotDelivered, ReplicaBusy, ConnectionLost, ResponseMalformed, ResponseTimeout, ResponseTooLarge):
            return None

    async def connects(self, timeout: float) -> bool:
        """Whether the app accepts a connection in `timeout` seconds."""
        connect = self._connect or asyncio.get_running_loop().create_connection
        try:
            async with asyncio.timeout(timeout):
                transport, _ = await connect(asyncio.Protocol, *self.address)
        except (OSError, TimeoutError):
            return False
        transport.close()
        return True

    async def until_done(self, limit: float) -> bool:
        """Wait until the app reports at /_k/status that it is free; at once for an app without that report.

        Returns:
            False if the app does not respond, or is not free in `limit` seconds.
        """
        pause = POLL_INTERVAL
        try:
            async with asyncio.timeout(limit):
                while True:
                    response = await self.get("/_k/status")
                    if response is not None:
                        status = response.json() if response.status == 200 else None
                        if not isinstance(status, dict) or status.get("gpu_available") is not False:
                            return True
                    await asyncio.sleep(pause)
                    pause = min(MAX_POLL_INTERVAL, pause * 1.5)
        except TimeoutError:
            return False

    def _says_not_run(self, response: ReplicaResponse) -> bool:
        """Whether a trusted server says that no handler has run: `bananastand serve`, or Potassium's own.

        The first is known by its command and removes the header from its app's responses; the second is the project's
        setting. From any other server, the same status is the app's response.
        """
        named = dict(response.headers)
        if response.status == 423:
            return self._is_potassium and not response.body and named.get(ENDPOINT_TYPE) in ENDPOINT_TYPES
        return response.status == 503 and self._replica != "" and named.get(NOT_RUN) == self._replica

    async def _exchange(self, request: ReplicaRequest, on_head: OnHead, on_chunk: OnChunk | None) -> ReplicaResponse:
        headers: list[tuple[bytes, bytes]] = [(b"host", self._host)]
        headers += [(name.encode("latin-1"), value.strip().encode("latin-1")) for name, value in request.headers]
        if request.body or request.method not in ("GET", "HEAD", "OPTIONS", "DELETE"):
            headers.append((b"content-length", str(len(request.body)).encode()))
        extensions: dict[str, Any] = {
            "timeout": {"connect": CONNECT_TIMEOUT, "pool": CONNECT_TIMEOUT},
            "target": _target(request.path),
        }
        async with self._pool.stream(
            request.method, self._origin, headers=headers, content=_content(request.body), extensions=extensions
        ) as response:
            response_headers = _end_to_end(response.headers)
            on_head(response.status, response_headers)
            chunks, size = list[bytes](), 0
            async for chunk in response.aiter_stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > self._max_response:
                    raise ResponseTooLarge
                if on_chunk is not None:
                    await on_chunk(chunk)
            _close_if_more_came(response)
            return ReplicaResponse(response.status, response_headers, b"".join(chunks))


def _close_if_more_came(response: httpcore2.Response) -> None:
    """Close the connection of an app that has sent more than its response: the next caller would get the rest.

    Data that arrives later makes the idle connection readable, and the pool does not use it again.
    """
    state: Any = response.stream
    for name in ("_stream", "_connection", "_h11_state"):
        state = getattr(state, name)
    if state.trailing_data[0]:
        state.send_failed()


def _target(path: str) -> bytes:
    return path.encode("latin-1") or b"/"


def _errno(error: BaseException | None) -> int | None:
    """Return the error number of the first OSError in the chain of causes."""
    while error is not None:
        if isinstance(error, OSError):
            return error.errno
        error = error.__cause__ or error.__context__
    return None


def _content(body: bytes | FileBody) -> bytes | AsyncGenerator[bytes]:
    return body if isinstance(body, bytes) else body.chunks()


def _end_to_end(headers: list[tuple[bytes, bytes]]) -> Headers:
    """Drop the headers that belong to the connection (hop-by-hop)."""
    named = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
    listed = {part.strip().lower() for name, value in named if name == "connection" for part in value.split(",")}
    return tuple((name, value) for name, value in named if name not in HOP_BY_HOP and name not in listed)
