"""Connections of every server of ours: what keeps silent is closed, what is too long refused, what is slow passes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from bananastand.asgi.connection_limiter import ConnectionLimiter
from bananastand.asgi.limits import ConnectionLimits, connections_for
from bananastand.asgi.protocol import ServerConfig
from servers import free_port

QUICK = ConnectionLimits(
    first_byte=0.4, head=0.8, keep_alive=0.6, body_rate=100, body_window=0.8, write_idle=1.0, connections=20, reserve=4
)


class Running:
    """A server of a small application: / echoes a body's length, /slow answers after a second, /large has 64 MiB."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.port, self.limits = free_port(), limits
        self.seen: list[dict[str, Any]] = []
        self.gone = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        while not hasattr(self, "server") or not self.server.started:
            time.sleep(0.01)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        limiter = ConnectionLimiter(self.limits, name="the test's server")
        config = ServerConfig(
            self.app,
            limiter=limiter,
            reserved=("/healthz",),
            host="127.0.0.1",
            port=self.port,
            lifespan="off",
            interface="asgi3",
        )
        self.server = uvicorn.Server(config)
        await self.server.serve()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope)
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.set()
                return
            size, more = size + len(message["body"]), message["more_body"]
        if scope["path"] == "/slow":
            await asyncio.sleep(1.0)
        body = b"x" * 2**26 if scope["path"] == "/large" else str(size).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(self, text: bytes) -> bytes:
        """Everything that is answered, until the server closes."""
        with self.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(text)
            return rest(connection)


def rest(connection: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(65536):
            got += chunk
    return got


@pytest.fixture(scope="module")
def quick() -> Iterator[Running]:
    running = Running(QUICK)
    yield running
    running.stop()


GET = b"GET /%s HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_body_behind_an_upgrade_that_is_not_offered_is_read(quick: Running, pieces: int) -> None:
    """Java's HttpClient asks its first request's server to go on in HTTP/2 (RFC 7540, 3.2)."""
    head = (
        b"POST / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 11\r\nHost: x\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\nX-Own: kept\r\n\r\n"
    )
    before = len(quick.seen)
    with quick.connect() as connection:
        for _ in range(2):  # on one connection
            for part in (head + b"a" * 11,) if pieces == 1 else (head + b"a", b"a" * 10):
                connection.sendall(part)
                time.sleep(0.05)
            assert connection.recv(65536).endswith(b"\r\n\r\n11")
        connection.sendall(GET % b"" + b"connection: close\r\n\r\n")
        assert rest(connection).endswith(b"\r\n\r\n0")

    assert len(quick.seen) == before + 3
    headers = quick.seen[before]["headers"]
    assert headers == [(b"content-length", b"11"), (b"host", b"x"), (b"x-own", b"kept")]


def test_a_connection_without_a_byte_is_closed(quick: Running) -> None:
    with quick.connect() as connection:
        began = time.monotonic()
        assert rest(connection) == b""
        assert time.monotonic() - began >= QUICK.first_byte


def test_headers_that_come_byte_by_byte_are_answered_with_408(quick: Running) -> None:
    with quick.connect() as connection:
        with contextlib.suppress(ConnectionError):
            for byte in GET % b"" + b"x-slow: " + b"a" * 100:
                connection.sendall(bytes([byte]))
                time.sleep(0.03)
        assert rest(connection).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_blank_lines_do_not_keep_a_connection_open(quick: Running) -> None:
    with quick.connect() as connection:
        for _ in range(60):
            try:
                connection.sendall(b"\r\n")
            except ConnectionError:
                break
            time.sleep(0.05)
        else:
            pytest.fail("it was never closed")


def test_a_connection_that_waits_for_its_next_request_is_closed_in_time(quick: Running) -> None:
    with quick.connect() as connection:
        connection.sendall(GET % b"" + b"\r\n")
        began = time.monotonic()
        assert rest(connection).startswith(b"HTTP/1.1 200 OK\r\n")
        assert time.monotonic() - began >= QUICK.keep_alive


def test_a_body_that_stops_is_answered_with_408_and_its_application_is_told(quick: Running) -> None:
    quick.gone.clear()
    answer = quick.ask(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nabc")

    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b'"code": "body_timeout"' in answer
    assert quick.gone.wait(5)


def test_a_slow_body_above_the_floor_arrives(quick: Running) -> None:
    with quick.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2000\r\n\r\n")
        for _ in range(50):  # 40 bytes in 50 ms: 800 a second, for 2.5 s
            connection.sendall(b"a" * 40)
            time.sleep(0.05)
        assert rest(connection).endswith(b"\r\n2000")


def test_a_request_at_work_may_be_silent_for_longer_than_every_limit(quick: Running) -> None:
    assert quick.ask(GET % b"slow" + b"connection: close\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_caller_that_takes_nothing_of_its_answer_is_closed(quick: Running) -> None:
    with quick.connect() as connection:
        connection.sendall(GET % b"large" + b"\r\n")
        time.sleep(3.5)
        assert len(rest(connection)) < 2**26


def test_more_silent_connections_than_the_limit_leave_room_for_requests(quick: Running) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(5 * 20):
            stack.enter_context(quick.connect())
        for _ in range(3):
            assert quick.ask(GET % b"" + b"connection: close\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def test_where_every_connection_is_at_work_health_is_answered_and_others_get_503() -> None:
    running = Running(ConnectionLimits(connections=3, reserve=2))
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                busy = stack.enter_context(running.connect())
                busy.sendall(GET % b"slow" + b"\r\n")
            while len(running.seen) < 3:
                time.sleep(0.01)
            refused = running.ask(GET % b"" + b"\r\n")
            healthy = running.ask(GET % b"healthz" + b"\r\n")
            assert busy.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    finally:
        running.stop()

    assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"retry-after: 1\r\n" in refused
    assert healthy.startswith(b"HTTP/1.1 200 OK\r\n")


def test_refused_connections_are_logged_once_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    class Silent:
        def check_timeouts(self, now: float) -> None: ...

        def abort(self) -> None: ...

    async def admit_ten() -> None:
        limiter = ConnectionLimiter(ConnectionLimits(connections=2, reserve=0), name="the test's server")
        for _ in range(10):
            limiter.admit(Silent())

    asyncio.run(admit_ten())

    (record,) = caplog.records
    assert record.getMessage().startswith("the test's server has 2 connections, its limit: 1 silent ones were closed")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (GET % b"" + b"x-long: " + b"a" * 2**16 + b"\r\n\r\n", 431, "headers_too_large"),
        (GET % b"" + b"x-%d: a\r\n" * 0 + b"".join(b"x-%d: a\r\n" % n for n in range(200)) + b"\r\n", 431,
         "too_many_headers"),
        (GET % (b"a" * 2**14) + b"\r\n", 414, "target_too_long"),
        (b"GET * HTTP/1.1\r\nhost: x\r\n\r\n", 400, "invalid_target"),
        (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", 400, "invalid_target"),
        (b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", 400, "invalid"),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, "invalid_request"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nno header\r\n\r\n", 400, "invalid_request"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
         + b"".join(b"t-%d: a\r\n" % n for n in range(300)) + b"\r\n", 431, "too_many_headers"),
    ],
)  # fmt: skip
def test_requests_that_break_a_limit_are_refused_before_the_application(
    quick: Running, sent: bytes, status: int, code: str
) -> None:
    head, _, body = quick.ask(sent).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert code.encode() in body
    assert b"connection: close" in head


def test_headers_at_the_limit_pass(quick: Running) -> None:
    lines = b"".join(b"x-%d: %s\r\n" % (n, b"a" * 300) for n in range(198))

    assert quick.ask(GET % b"" + lines + b"connection: close\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("piece", [b"a" * 2**16, b"x: a\r\n" * 2**13])
def test_endless_headers_are_answered_and_cut_off(quick: Running, piece: bytes) -> None:
    sent = 0
    with quick.connect() as connection:
        connection.sendall(GET % b"" + b"x-long: ")
        try:
            while sent < 2**28:
                connection.sendall(piece)
                sent += len(piece)
        except OSError:
            pass
    assert sent < 2**27


def test_trailers_do_not_become_headers(quick: Running) -> None:
    quick.seen.clear()
    quick.ask(
        b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        b"1\r\na\r\n0\r\nx-banana-api-key: k\r\n\r\n"
    )

    assert "x-banana-api-key" not in str(quick.seen[0]["headers"])


def test_a_request_refused_behind_another_does_not_take_its_answer(quick: Running) -> None:
    answer = quick.ask(GET % b"slow" + b"\r\n" + GET % b"" + b"x-long: " + b"a" * 2**17 + b"\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n0")


def test_pipelined_requests_are_answered_in_turn_and_only_so_many_are_kept(quick: Running) -> None:
    few = quick.ask((GET % b"" + b"\r\n") * 9 + GET % b"" + b"connection: close\r\n\r\n")
    quick.seen.clear()
    quick.ask(GET % b"slow" + b"\r\n" + (GET % b"" + b"\r\n") * 5000)

    assert few.count(b"HTTP/1.1 200 OK") == 10
    assert len(quick.seen) == 1


@pytest.mark.parametrize(("files", "connections"), [(256, 96), (1024, 480), (65_536, 10_000), (64, 16)])
def test_connections_leave_half_of_the_open_files(files: int, connections: int) -> None:
    assert connections_for(files) == connections
