"""A forward proxy that answers Banana's host names by the platform, and refuses all others. Knows no project.

CONNECT requests are answered with TLS by the platform's own authority; absolute-form requests without TLS, also where
they name https, as old HTTP libraries send them. A connection that begins with TLS is one to Banana's own port 443,
led here by name or by address. What is inside goes to the platform's port as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from socket import MSG_PEEK, socket
from typing import Any
from urllib.parse import urlsplit

from bananastand.asgi.connection_limiter import ConnectionLimiter
from bananastand.asgi.limits import ConnectionLimits

from .run_hosts import API_HOSTS, RUN_DOMAIN, is_banana_host

__all__ = ["ForwardProxy", "Refusal"]

HANDSHAKE = b"\x16"  # the first byte of TLS
FULL = 0.2  # seconds to wait where this process has no file left for a connection
PATIENCE = 30.0  # seconds for a TLS handshake
LINGER = 1.0  # seconds after a refusal in which its caller may read it
PORTS = {b"http": 80, b"https": 443}
CHUNK = 64 * 2**10
OF_THIS_HOP = (b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive", b"host")
REASONS = {
    400: "Bad Request",
    403: "Forbidden",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
}


class Refusal(Exception):
    """The request is refused: a status, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Head:
    method: bytes
    target: bytes
    version: bytes
    lines: tuple[bytes, ...]

    def for_origin(self, host: bytes, path: bytes) -> bytes:
        """The request as an origin server gets it, one to a connection."""
        names = [line.partition(b":")[0].strip().lower() for line in self.lines]
        kept = [line for line, name in zip(self.lines, names, strict=True) if name not in OF_THIS_HOP]
        after = b"connection: upgrade" if b"upgrade" in names else b"connection: close"
        lines = [b" ".join((self.method, path, self.version)), b"host: " + host, *kept, after]
        return b"\r\n".join(lines) + b"\r\n\r\n"


class _Accepted:
    """A connection to the proxy, as its limiter knows it. It is silent until its request's head is whole."""

    def __init__(self, conversation: asyncio.Task[None]) -> None:
        self._conversation = conversation

    def check_timeouts(self, now: float) -> None:
        """Its first byte and its head have time limits of their own; behind it the platform's server has its limits."""

    def abort(self) -> None:
        """Close at once."""
        self._conversation.cancel()


class ForwardProxy:
    """Serves one listening socket.

    Args:
        plain: Where the platform answers requests that came without TLS.
        secure: Where it answers those that came with TLS.
        context: Gives TLS as Banana's names, for the next connection.
        limiter: Lets connections in.
    """

    def __init__(
        self,
        plain: tuple[str, int],
        secure: tuple[str, int],
        context: Callable[[], ssl.SSLContext],
        limiter: ConnectionLimiter,
    ) -> None:
        self._plain, self._secure, self._context, self._limiter = plain, secure, context, limiter
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, listener: socket) -> None:
        """Listen from now on."""
        listener.setblocking(False)
        self._begin(self._accept_all(listener))

    async def close(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept_all(self, listener: socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(FULL)
                continue
            self._begin(self._converse(connection))

    async def _converse(self, connection: socket) -> None:
        task = asyncio.current_task()
        assert task is not None, "each connection has a task"
        accepted = _Accepted(task)
        if self._limiter.admit(accepted) == "full":
            connection.close()
            return
        try:
            await self._serve_connection(connection, accepted)
        finally:
            self._limiter.release(accepted)

    async def _serve_connection(self, connection: socket, accepted: _Accepted) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        limits = self._limiter.limits
        try:
            secure = await _first_byte(connection, limits.first_byte) == HANDSHAKE
            streams = await _streams(connection, self._context() if secure else None, limits.head_bytes)
            reader, writer = streams
            if secure:
                self._limiter.mark_busy(accepted)
                await _tunnel(reader, writer, self._secure, b"")
            else:
                await self._serve(reader, writer, accepted)
        except Refusal as refusal:
            if streams is not None:
                await _refuse(*streams, refusal)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the caller is gone, or does not trust the certificate
        except asyncio.CancelledError:
            pass  # the platform stops
        finally:
            if streams is None:
                connection.close()
            else:
                streams[1].close()
                with contextlib.suppress(OSError, ssl.SSLError, asyncio.CancelledError):
                    await streams[1].wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, accepted: _Accepted) -> None:
        head = await _read_head(reader, self._limiter.limits)
        self._limiter.mark_busy(accepted)
        if head.method == b"CONNECT":
            host, port = _split(head.target, 443)
            _check_host(host, port, 80 if port == 80 else 443)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            if port == 80:  # a websocket without TLS
                await _tunnel(reader, writer, self._plain, b"")
                return
            await writer.start_tls(self._context(), ssl_handshake_timeout=PATIENCE)
            await _tunnel(reader, writer, self._secure, b"")
            return
        url = urlsplit(head.target)
        if url.scheme not in PORTS:
            raise Refusal(400, "this is a forward proxy: set it as HTTPS_PROXY, and ask for Banana's own addresses")
        _check_host(*_split(url.netloc, PORTS[url.scheme]), PORTS[url.scheme])
        path = (url.path or b"/") + (b"?" + url.query if url.query else b"")
        place = self._secure if url.scheme == b"https" else self._plain
        await _tunnel(reader, writer, place, head.for_origin(url.netloc.rpartition(b"@")[2], path))


async def _first_byte(connection: socket, patience: float) -> bytes:
    """What a caller sends first, left to be read. Raises OSError, TimeoutError."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    connection.setblocking(False)
    loop.add_reader(connection, readable.set)
    try:
        async with asyncio.timeout(patience):
            await readable.wait()
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, MSG_PEEK)


async def _streams(
    connection: socket, context: ssl.SSLContext | None, limit: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A caller's connection, with TLS as a server where there is a context. Raises OSError."""
    loop, made = asyncio.get_running_loop(), list[asyncio.StreamWriter]()
    reader = asyncio.StreamReader(limit)
    # With a callback the streams know that they are a server's, as start_tls must.
    protocol = asyncio.StreamReaderProtocol(reader, lambda _, writer: made.append(writer))
    patience = PATIENCE if context is not None else None
    await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context, ssl_handshake_timeout=patience)
    return reader, made[0]


async def _read_head(reader: asyncio.StreamReader, limits: ConnectionLimits) -> _Head:
    """Raises Refusal, IncompleteReadError."""
    try:
        async with asyncio.timeout(limits.head):
            raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise Refusal(431, f"the request's head is longer than {limits.head_bytes} bytes: send less in it") from None
    except TimeoutError:
        raise Refusal(408, f"the request's head did not arrive in {limits.head:g} s: send it again") from None
    first, *lines = raw[:-4].split(b"\r\n")
    if len(lines) > limits.head_lines:
        raise Refusal(431, f"the request has more than {limits.head_lines} headers: send fewer")
    words = first.split(b" ")
    if len(words) != 3:
        raise Refusal(400, "the first line is no request of HTTP/1.1")
    return _Head(words[0], words[1], words[2], tuple(lines))


def _split(place: bytes, default: int) -> tuple[str, int]:
    try:
        url = urlsplit(f"//{place.decode('ascii')}")
        return (url.hostname or "").lower(), url.port or default
    except ValueError:
        return ascii(place)[2:-1][:100], 0


def _check_host(host: str, port: int, expected: int) -> None:
    """Raises Refusal."""
    if not is_banana_host(host) or port != expected:
        served = ", ".join((f"*.{RUN_DOMAIN}", *API_HOSTS))
        raise Refusal(403, f"{host}:{port} is not served here: this proxy answers {served}; put others into NO_PROXY")


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, refusal: Refusal) -> None:
    """Answer, and throw away for a moment what still comes: else the caller's answer is lost with it."""
    body = f"{refusal}\n".encode()
    head = (
        f"HTTP/1.1 {refusal.status} {REASONS[refusal.status]}\r\ncontent-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    with contextlib.suppress(OSError):
        writer.write(head.encode() + body)
        await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while await reader.read(CHUNK):
                    pass


async def _tunnel(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: tuple[str, int], first: bytes
) -> None:
    """Carry bytes both ways until one side ends. Raises OSError."""
    inner_reader, inner_writer = await asyncio.open_connection(*to)
    try:
        inner_writer.write(first)
        await _both_ways(reader, writer, inner_reader, inner_writer)
    finally:
        inner_writer.close()
        with contextlib.suppress(OSError):
            await inner_writer.wait_closed()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


async def _both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    inner_reader: asyncio.StreamReader,
    inner_writer: asyncio.StreamWriter,
) -> None:
    """Until the platform has answered. A client may end its side first and still wait, but not over TLS."""
    upload = asyncio.create_task(_carry(reader, inner_writer))
    download = asyncio.create_task(_carry(inner_reader, writer))
    try:
        await asyncio.wait({upload, download}, return_when=asyncio.FIRST_COMPLETED)
        if not download.done() and writer.get_extra_info("ssl_object") is None:
            with contextlib.suppress(OSError):
                inner_writer.write_eof()
            await download
    finally:
        for task in (upload, download):
            task.cancel()
        await asyncio.wait({upload, download})
