"""The relay of a node: who gets in, where it leads, and what it does with a slow or a broken end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest

from bananastand.cluster.credentials import Identity, check_role, client_context, server_context
from bananastand.cluster.relay import Relay
from bananastand.cluster.relay_client import Door
from cluster_members import Members

HOST = "127.0.0.1"


@asynccontextmanager
async def echo_server() -> AsyncGenerator[int]:
    """A server on loopback that sends back what it gets; yields its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.05)  # until the writers are closed


async def open_port(target: dict[str, Any], factory: Callable[[], Any]) -> None:
    if target["replica"] != "r1" or int(target["port"]) < 0:
        raise ConnectionRefusedError(f"no replica {target['replica']} runs here")
    await asyncio.get_running_loop().create_connection(factory, target["host"], target["port"])


@asynccontextmanager
async def relay_of(node: Identity | None, front: Identity | None) -> AsyncGenerator[Door]:
    """A relay that leads to any port of replica r1, and a front's door to it."""
    authorize = partial(check_role, cluster=node.cluster.id, role="front") if node else lambda connection: None
    relay = Relay(HOST, server_context(node) if node else None, authorize, open_port)
    port = await relay.open()
    try:
        yield Door(HOST, port, node.name if node else "", client_context(front) if front else None)
    finally:
        relay.close()
        await asyncio.sleep(0.05)  # until both ends of each connection are closed


async def connect(door: Door, target: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    transport, protocol = await door.connect(lambda: asyncio.StreamReaderProtocol(reader), target)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def port_target(port: int) -> dict[str, Any]:
    return {"replica": "r1", "host": HOST, "port": port}


@pytest.mark.parametrize("encrypted", [True, False])
async def test_bytes_reach_the_port_of_a_replica_and_come_back(own_cluster: Members, encrypted: bool) -> None:
    node, front = (own_cluster.node, own_cluster.front) if encrypted else (None, None)
    async with echo_server() as port, relay_of(node, front) as door:
        reader, writer = await connect(door, port_target(port))
        sent = bytes(range(256)) * 40_000

        writer.write(sent)

        assert await asyncio.wait_for(reader.readexactly(len(sent)), 20) == sent
        writer.close()


async def test_a_slow_reader_slows_down_the_replica(own_cluster: Members) -> None:
    """What waits in the relay is bounded: the app can write only as fast as its caller reads."""
    written, ended = 0, asyncio.Event()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        with suppress(OSError):
            while True:
                writer.write(bytes(2**16))
                await writer.drain()
                written += 2**16
        writer.close()
        ended.set()

    server = await asyncio.start_server(pour, HOST, 0)
    async with relay_of(own_cluster.node, own_cluster.front) as door:
        reader, writer = await connect(door, port_target(server.sockets[0].getsockname()[1]))
        await reader.readexactly(10)
        for _ in range(100):
            before = written
            await asyncio.sleep(0.1)
            if written == before:
                break

        assert written == before < 32 * 2**20
        writer.transport.abort()
        await asyncio.wait_for(ended.wait(), 5)
        server.close()


async def test_the_end_of_the_app_ends_the_callers_connection(own_cluster: Members) -> None:
    async def farewell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"farewell")
        writer.close()

    server = await asyncio.start_server(farewell, HOST, 0)
    async with relay_of(own_cluster.node, own_cluster.front) as door:
        reader, writer = await connect(door, port_target(server.sockets[0].getsockname()[1]))

        assert await asyncio.wait_for(reader.read(), 5) == b"farewell"
        writer.close()
        server.close()


async def test_unknown_replicas_and_closed_ports_are_refused_with_the_reason(own_cluster: Members) -> None:
    with socket.create_server((HOST, 0)) as listener:
        closed = listener.getsockname()[1]
    async with relay_of(own_cluster.node, own_cluster.front) as door:
        with pytest.raises(ConnectionRefusedError, match="no replica r2 runs here"):
            await connect(door, {"replica": "r2", "host": HOST, "port": 1})
        with pytest.raises(ConnectionRefusedError):
            await connect(door, port_target(closed))
        with pytest.raises(ConnectionRefusedError):
            await connect(door, {"nothing": "that it knows"})


async def test_members_of_another_cluster_and_nodes_get_no_stream(own_cluster: Members, other_cluster: Members) -> None:
    async with echo_server() as port, relay_of(own_cluster.node, own_cluster.front) as door:
        for intruder in (other_cluster.front, own_cluster.head):
            wrong = Door(HOST, door.port, door.name, client_context(intruder))
            with pytest.raises(OSError, match=".+"):
                await connect(wrong, port_target(port))


@pytest.mark.parametrize(
    "line", [b"[" * 50_000, b'{"replica": "r1", "host": "x", "port": Infinity}', b'{"replica": []}', b"7", b"x" * 2000]
)
async def test_a_first_line_that_is_none_ends_with_an_error(own_cluster: Members, line: bytes) -> None:
    async with relay_of(own_cluster.node, own_cluster.front) as door:
        reader, writer = await asyncio.open_connection(
            HOST, door.port, ssl=door.context, server_hostname=door.name, limit=2**20
        )
        writer.write(line + b"\n")

        assert b"error" in await asyncio.wait_for(reader.readline(), 5)
        writer.close()


async def test_idle_strangers_keep_no_front_out_and_calls_of_fronts_go_on(
    own_cluster: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bananastand.cluster.gate.MAX_STRANGERS", 10)
    async with echo_server() as port, relay_of(own_cluster.node, own_cluster.front) as door:
        calls = [await connect(door, port_target(port)) for _ in range(15)]
        idle = [await asyncio.open_connection(HOST, door.port) for _ in range(30)]
        calls.append(await connect(door, port_target(port)))

        for reader, writer in calls:
            writer.write(b"ping")
            assert await asyncio.wait_for(reader.readexactly(4), 5) == b"ping"
            writer.close()
        assert await asyncio.wait_for(idle[0][0].read(), 5) == b""
        for _, writer in idle:
            writer.transport.abort()


async def test_a_front_talks_to_the_node_that_it_means_alone(own_cluster: Members) -> None:
    async with echo_server() as port, relay_of(own_cluster.node, own_cluster.front) as door:
        with pytest.raises(OSError, match="mismatch"):
            await connect(Door(HOST, door.port, "node-3", door.context), port_target(port))


async def test_a_caller_without_tls_gets_nothing(own_cluster: Members) -> None:
    async with echo_server() as port, relay_of(own_cluster.node, own_cluster.front) as door:
        with pytest.raises(OSError, match=".+"):
            await connect(Door(HOST, door.port, door.name, None), port_target(port))


async def test_a_frozen_relay_is_an_error_in_time(monkeypatch: pytest.MonkeyPatch, own_cluster: Members) -> None:
    monkeypatch.setattr("bananastand.cluster.relay_client.PATIENCE", 0.3)
    with socket.create_server((HOST, 0)) as mute:
        door = Door(HOST, mute.getsockname()[1], "node-2", client_context(own_cluster.front))
        with pytest.raises(ConnectionError, match="has not answered"):
            await connect(door, port_target(1))


def test_a_relay_that_others_can_reach_needs_certificates() -> None:
    with pytest.raises(ValueError, match="needs certificates"):
        Relay("10.0.0.1", None, lambda connection: None, open_port)
