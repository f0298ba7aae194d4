"""Sends a response over ASGI, damaged as the injected faults say.

A reset or a truncated body needs the connection itself, which ASGI does not give; uvicorn's `send` belongs to an object
that has it. Under another server, and in process, these two faults raise ConnectionResetError.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from .faults import Fault

__all__ = ["Headers", "Receive", "Send", "deliver", "deliver_stream"]

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

SLOW_CHUNKS = 10  # into which a slow body is cut


async def deliver(send: Send, status: int, headers: Headers, body: bytes, faults: Sequence[Fault] = ()) -> None:
    """Send a response with a whole body.

    Args:
        send: ASGI's.
        status: The HTTP status.
        headers: All headers.
        body: The bytes of the body.
        faults: The faults that strike the call. Latency is in real time, because it tests the client's own timeout.

    Raises:
        ConnectionResetError: A fault needs the connection, and this server does not give it.
    """
    if faults:
        await _send_with_faults(send, status, headers, body, faults)
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def deliver_stream(
    send: Send, receive: Receive, status: int, headers: Headers, chunks: AsyncGenerator[bytes], faults: Sequence[Fault]
) -> None:
    """Send a body chunk by chunk, until its end or until the client leaves. Raises what breaks it off.

    Of the faults only latency applies.
    """
    await _delay(faults)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    sending, leaving = asyncio.create_task(_send_chunks(send, chunks)), asyncio.create_task(_disconnect(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        cut_short = sending.cancel()
        await asyncio.wait({sending})
    if not cut_short:
        sending.result()


async def _send_with_faults(send: Send, status: int, headers: Headers, body: bytes, faults: Sequence[Fault]) -> None:
    await _delay(faults)
    kinds = {fault.kind: fault for fault in faults}
    if "reset" in kinds:
        _connection(send, "reset").abort()
        return
    if "malformed_json" in kinds:
        body = body[:-1] + b",,"
        headers = [header for header in headers if header[0] != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if "truncated_body" in kinds:
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        _connection(send, "truncated body").close()
        return
    if "slow_body" in kinds:
        await _send_slowly(send, body, kinds["slow_body"].seconds)
        return
    await send({"type": "http.response.body", "body": body})


async def _delay(faults: Sequence[Fault]) -> None:
    if seconds := sum(fault.seconds for fault in faults if fault.kind == "latency"):
        await asyncio.sleep(seconds)


async def _send_slowly(send: Send, body: bytes, seconds: float) -> None:
    size = max(1, -(-len(body) // SLOW_CHUNKS))
    for begin in range(0, len(body), size):
        await send({"type": "http.response.body", "body": body[begin : begin + size], "more_body": True})
        await asyncio.sleep(seconds / SLOW_CHUNKS)
    await send({"type": "http.response.body", "body": b""})


async def _send_chunks(send: Send, chunks: AsyncGenerator[bytes]) -> None:
    async with aclosing(chunks):
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _connection(send: Send, fault: str) -> Any:
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError(f"injected fault: {fault}")
    return transport
