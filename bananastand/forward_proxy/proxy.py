"""A forward proxy that connects the served host names to a server of ours, and refuses or passes on all others.

CONNECT requests are answered with TLS by the authority of this machine; absolute-form requests without TLS, also where
they name https, as old HTTP libraries send them. A connection that begins with TLS is one to a served name's own port
443, led here by name or by address. What is inside goes to the server's port as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from socket import MSG_PEEK, socket
from urllib.parse import urlsplit

from bananastand.asgi.connection_limiter import ConnectionLimiter
from bananastand.asgi.limits import ConnectionLimits
from bananastand.task_set import TaskSet

from .host_names import HostNames

__all__ = ["ForwardProxy", "ProxyRefusal"]

HANDSHAKE = b"\x16"  # the first byte of TLS
NO_FILES_SECONDS = 0.2  # to wait where this process has no file left for a connection
TLS_TIMEOUT = 30.0  # seconds for a TLS handshake
CONNECT_TIMEOUT = 30.0  # seconds to reach another host
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
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


class ProxyRefusal(Exception):
    """The request is refused with this HTTP status and text."""

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
        """Return the request as an origin server gets it, one to a connection."""
        names = [line.partition(b":")[0].strip().lower() for line in self.lines]
        passed = [line for line, name in zip(self.lines, names, strict=True) if name not in OF_THIS_HOP]
        after = b"connection: upgrade" if b"upgrade" in names else b"connection: close"
        lines = [b" ".join((self.method, path, self.version)), b"host: " + host, *passed, after]
        return b"\r\n".join(lines) + b"\r\n\r\n"


class _Accepted:
    """A connection to the proxy, as its limiter sees it; it is idle until its request's head is complete."""

    def __init__(self, conversation: asyncio.Task[None]) -> None:
        self._conversation = conversation

    def check_timeouts(self, now: float) -> None:
        """Do nothing: first byte and head have timeouts of their own, and the server behind limits the rest."""

    def abort(self) -> None:
        """Close at once."""
        self._conversation.cancel()


class ForwardProxy:
    """Serves one listening socket.

    Args:
        names: The served host names.
        plain: Host and port where the server answers requests that came without TLS.
        secure: Host and port where it answers those that came with TLS.
        context: Returns the TLS context for the next connection.
        limiter: Admits connections.
        tunnels: Whether to pass requests for other hosts on to them.
        advice: What to do about another host, at the end of its refusal.
    """

    def __init__(
        self,
        names: HostNames,
        plain: tuple[str, int],
        secure: tuple[str, int],
        context: Callable[[], ssl.SSLContext],
        limiter: ConnectionLimiter,
        *,
        tunnels: bool = False,
        advice: str = "put others into NO_PROXY",
    ) -> None:
        self._names, self._tunnels, self._advice = names, tunnels, advice
        self._plain, self._secure, self._context, self._limiter = plain, secure, context, limiter
        self._tasks = TaskSet("proxy")

    def start(self, listener: socket) -> None:
        """Begin to accept connections."""
        listener.setblocking(False)
        self._tasks.start(self._accept_all(listener))

    async def close(self) -> None:
        """End all connections."""
        await self._tasks.close()

    async def _accept_all(self, listener: socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(NO_FILES_SECONDS)
                continue
            self._tasks.start(self._converse(connection))

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
        except ProxyRefusal as refusal:
            if streams is not None:
                await _refuse(*streams, refusal)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the caller is gone, or does not trust the certificate
        except asyncio.CancelledError:
            pass  # the server stops
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
            await self._connect(reader, writer, *_split(head.target, 443))
            return
        url = urlsplit(head.target)
        if url.scheme not in PORTS:
            raise ProxyRefusal(
                400, "this is a forward proxy: set it as HTTPS_PROXY, and use the services' own addresses"
            )
        host, port = _split(url.netloc, PORTS[url.scheme])
        path = (url.path or b"/") + (b"?" + url.query if url.query else b"")
        first = head.for_origin(url.netloc.rpartition(b"@")[2], path)
        if self._serves(host, port, PORTS[url.scheme]):
            await _tunnel(reader, writer, self._secure if url.scheme == b"https" else self._plain, first)
        elif url.scheme == b"https":
            raise ProxyRefusal(502, f"{host} needs TLS: use CONNECT for it")
        else:
            await self._pass_on(reader, writer, (host, port), first)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        if not self._serves(host, port, 80 if port == 80 else 443):
            await self._pass_on(reader, writer, (host, port), b"", ESTABLISHED)
            return
        writer.write(ESTABLISHED)
        await writer.drain()
        if port == 80:  # a websocket without TLS
            await _tunnel(reader, writer, self._plain, b"")
            return
        await writer.start_tls(self._context(), ssl_handshake_timeout=TLS_TIMEOUT)
        await _tunnel(reader, writer, self._secure, b"")

    def _serves(self, host: str, port: int, expected: int) -> bool:
        """Return whether the server answers for a host. Raises ProxyRefusal for one that is not passed on either."""
        if self._names.serves(host) and port == expected:
            return True
        if self._tunnels and port:
            return False
        served = ", ".join(self._names.patterns)
        raise ProxyRefusal(403, f"{host}:{port} is not served here: this proxy answers {served}; {self._advice}")

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        to: tuple[str, int],
        first: bytes,
        established: bytes = b"",
    ) -> None:
        """Relay to another host. Raises ProxyRefusal where it cannot be reached."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                inner = await asyncio.open_connection(*to)
        except (OSError, TimeoutError) as error:
            reason = str(error) or "timed out"
            raise ProxyRefusal(502, f"{to[0]}:{to[1]} cannot be reached: {reason}; try again later") from None
        writer.write(established)
        await _relay(reader, writer, inner, first)


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
    """Return the streams of a caller's connection, with TLS if there is a context. Raises OSError."""
    loop, writers = asyncio.get_running_loop(), list[asyncio.StreamWriter]()
    reader = asyncio.StreamReader(limit)
    # With a callback the streams know that they are a server's, as start_tls must.
    protocol = asyncio.StreamReaderProtocol(reader, lambda _, writer: writers.append(writer))
    patience = TLS_TIMEOUT if context is not None else None
    await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context, ssl_handshake_timeout=patience)
    return reader, writers[0]


async def _read_head(reader: asyncio.StreamReader, limits: ConnectionLimits) -> _Head:
    """Read the request line and headers. Raises ProxyRefusal, IncompleteReadError."""
    try:
        async with asyncio.timeout(limits.head):
            raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise ProxyRefusal(
            431, f"the request's head is longer than {limits.head_bytes} bytes: send less in it"
        ) from None
    except TimeoutError:
        raise ProxyRefusal(408, f"the request's head did not arrive in {limits.head:g} s: send it again") from None
    first, *lines = raw[:-4].split(b"\r\n")
    if len(lines) > limits.head_lines:
        raise ProxyRefusal(431, f"the request has more than {limits.head_lines} headers: send fewer")
    words = first.split(b" ")
    if len(words) != 3:
        raise ProxyRefusal(400, "the first line is no request of HTTP/1.1")
    return _Head(words[0], words[1], words[2], tuple(lines))


def _split(place: bytes, default: int) -> tuple[str, int]:
    try:
        url = urlsplit(f"//{place.decode('ascii')}")
        return (url.hostname or "").lower(), url.port or default
    except ValueError:
        return ascii(place)[2:-1][:100], 0


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, refusal: ProxyRefusal) -> None:
    """Answer, and discard for a moment what still arrives: otherwise the caller's system drops the answer."""
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
    """Relay bytes both ways until one side ends. Raises OSError."""
    await _relay(reader, writer, await asyncio.open_connection(*to), first)


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    inner: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    first: bytes,
) -> None:
    inner_reader, inner_writer = inner
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
    """Relay until the server has answered. A client may end its side first and still wait, but not over TLS."""
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
