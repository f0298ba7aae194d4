"""Connections to an app that is a server of its own: kept where that is safe, and never with somebody else's answer."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from bananastand.platform.replicas.client import ConnectionLost, ReplicaRequest, RequestNotDelivered
from bananastand.platform.replicas.http_client import HttpClient

FINE = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine"
FORGED = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged"


@asynccontextmanager
async def app(first: bytes) -> AsyncGenerator[tuple[HttpClient, list[int]]]:
    """A client of a server whose first answer is given; and the number of connections that were made."""
    answers, connections = [first], list[int]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(len(connections))
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answers.pop() if answers else FINE)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HttpClient(server.sockets[0].getsockname()[:2])
    try:
        yield client, connections
    finally:
        await client.close()
        server.close()
        await asyncio.sleep(0.05)


async def body(client: HttpClient, method: str = "GET") -> bytes:
    return (await client.send(ReplicaRequest(method, "/", (), b""), 30.0)).body


async def test_a_connection_is_used_again() -> None:
    async with app(FINE) as (client, connections):
        assert [await body(client) for _ in range(3)] == [b"fine"] * 3
        assert len(connections) == 1


@pytest.mark.parametrize(
    ("method", "first"),
    [("GET", FINE + FORGED), ("HEAD", FORGED), ("GET", b"HTTP/1.1 204 No Content\r\n\r\n" + FORGED)],
)
async def test_what_an_app_sends_beyond_its_answer_reaches_no_other_caller(method: str, first: bytes) -> None:
    async with app(first) as (client, connections):
        await body(client, method)
        assert [await body(client) for _ in range(3)] == [b"fine"] * 3
        assert len(connections) == 2


def test_an_app_that_resets_each_connection_at_once_is_a_lost_connection_under_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")
    resetting = socket.create_server(("127.0.0.1", 0), backlog=128)

    def reset() -> None:
        while True:
            try:
                connection, _ = resetting.accept()
            except OSError:
                return
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    async def call() -> list[object]:
        client = HttpClient(resetting.getsockname())
        failures = list[object]()
        for _ in range(20):  # an unlucky moment, so many connections
            calls = [client.send(ReplicaRequest("POST", "/", (), b"x"), 30.0) for _ in range(50)]
            failures += await asyncio.gather(*calls, return_exceptions=True)
        await client.close()
        return failures

    thread = threading.Thread(target=reset)
    thread.start()
    try:
        failures = uvloop.run(call())
    finally:
        resetting.shutdown(socket.SHUT_RDWR)
        resetting.close()
        thread.join()

    assert {type(failure) for failure in failures} <= {ConnectionLost, RequestNotDelivered}, failures
    assert len(failures) == 1000
