"""Loads an HTTP server over persistent connections, from one thread, with sockets and epoll alone.

A client of asyncio's streams takes half as long for a request as a quick server does, and its time is then measured as
the server's.
"""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ._machine import quantile

__all__ = ["first_answer", "http_request", "load"]

PATIENCE = 5.0  # seconds for an answer


@dataclass
class _Connection:
    socket: socket.socket
    begun: float
    got: bytes = b""


def load(port: int, connections: int, seconds: float, request: bytes, word: bytes) -> dict[str, float]:
    """Requests per second and latency in milliseconds; each connection has one request at a time.

    Every answer must have status 200 and the word in it. `failed` are requests without one: the server closed the
    connection, or said nothing for PATIENCE seconds.
    """
    taken, failed, started = list[float](), 0, time.perf_counter()
    until = started + seconds
    with select.epoll() as ready:
        connections_by_number = dict(_send(port, request, ready) for _ in range(connections))
        while connections_by_number:
            events = ready.poll(PATIENCE / 10)
            now = time.perf_counter()
            late = [number for number, connection in connections_by_number.items() if now - connection.begun > PATIENCE]
            for number in [*(number for number, _ in events), *late]:
                if (connection := connections_by_number.get(number)) is None:
                    continue
                open_still = number not in late and _read(connection)
                answer = _answer(connection.got)
                if answer is None and open_still:
                    continue
                now = time.perf_counter()
                if answer is None:
                    failed += 1
                else:
                    assert answer[0] == 200, connection.got[:300]
                    assert word in connection.got, connection.got[:300]
                    taken.append(now - connection.begun)
                if answer is not None and answer[1] and open_still and now < until:
                    connection.got, connection.begun = b"", now
                    connection.socket.sendall(request)
                    continue
                connections_by_number.pop(number).socket.close()
                if now < until:
                    connections_by_number.update([_send(port, request, ready)])
    spent = time.perf_counter() - started
    ordered = sorted(taken) or [spent]  # where no answer came in all that time
    return {
        "requests_per_second": round(len(taken) / spent, 1),
        "p50_ms": round(quantile(ordered, 0.5) * 1000, 3),
        "p99_ms": round(quantile(ordered, 0.99) * 1000, 3),
        "failed": failed,
    }


def first_answer(
    port: int, request: bytes, word: bytes, begun: float, process: subprocess.Popen[bytes], patience: float = 120.0
) -> float:
    """Seconds from `begun` to the first answer of a server that starts."""
    while time.perf_counter() - begun < patience:
        assert process.poll() is None, "the server ended"
        with contextlib.suppress(OSError, AssertionError):
            if load(port, 1, 0.0, request, word)["failed"] == 0:
                return time.perf_counter() - begun
        time.sleep(0.005)
    raise TimeoutError("the server never answered")


def http_request(
    port: int, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """The bytes of a request; a body is JSON."""
    named = {"Host": f"127.0.0.1:{port}", **(headers or {})}
    if body:
        named |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def _send(port: int, request: bytes, ready: select.epoll) -> tuple[int, _Connection]:
    """A new connection with the request on its way; its time begins when it is open."""
    opened = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ready.register(opened, select.EPOLLIN)
    found = _Connection(opened, time.perf_counter())
    opened.sendall(request)
    return opened.fileno(), found


def _read(connection: _Connection) -> bool:
    """Take what has come; whether more may."""
    try:
        chunk = connection.socket.recv(65536)
    except ConnectionError:
        return False
    connection.got += chunk
    return bool(chunk)


def _answer(got: bytes) -> tuple[int, bool] | None:
    """Status, and whether the connection stays open, of a complete response; None where some of it is missing."""
    head, found, body = got.partition(b"\r\n\r\n")
    if not found:
        return None
    head = head.lower()
    if b"content-length:" in head:
        is_complete = len(body) >= int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    else:
        assert b"transfer-encoding: chunked" in head, head
        is_complete = body.endswith(b"\r\n0\r\n\r\n")
    if not is_complete:
        return None
    return int(head.split(b" ", 2)[1]), b"connection: close" not in head and not head.startswith(b"http/1.0")
