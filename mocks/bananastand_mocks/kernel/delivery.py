"""Puts an answer on the wire, with the faults that concern the wire. Knows ASGI, no provider.

A reset or a truncated body needs the connection itself, which ASGI does not give; uvicorn's `send` belongs to an object
that has it. Under another server, and in process, these two faults raise ConnectionResetError.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from .faults import Fault

__all__ = ["Headers", "Receive", "Send", "deliver", "deliver_pieces", "stall"]

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

PIECES = 10  # of a slow body


async def stall(faults: Sequence[Fault]) -> None:
    """Wait as long as the latency faults say: real time, because what it tests is the caller's own timeout."""
    seconds = sum(fault.seconds for fault in faults if fault.kind == "latency")
    if seconds:
        await asyncio.sleep(seconds)


async def deliver(send: Send, status: int, headers: Headers, body: bytes, faults: Sequence[Fault]) -> None:
    """Send the answer, damaged as the faults say."""
    kinds = {fault.kind: fault for fault in faults}
    if "reset" in kinds:
        _connection(send, "reset").abort()
        return
    if "malformed_json" in kinds:
        body = body[:-1] + b",,"
        headers = [*(each for each in headers if each[0] != b"content-length"), _length(body)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if "truncated_body" in kinds:
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        _connection(send, "truncated body").close()
        return
    if "slow_body" in kinds:
        await _slowly(send, body, kinds["slow_body"].seconds)
        return
    await send({"type": "http.response.body", "body": body})


async def deliver_pieces(
    send: Send, receive: Receive, status: int, headers: Headers, pieces: AsyncGenerator[bytes]
) -> None:
    """Send a body as it comes, until its end or until the caller leaves. Raises what it breaks off with."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    sending, gone = asyncio.create_task(_pass_on(send, pieces)), asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        left = sending.cancel()
        await asyncio.wait({sending})
    if not left:
        sending.result()


async def _pass_on(send: Send, pieces: AsyncGenerator[bytes]) -> None:
    async with aclosing(pieces):
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _slowly(send: Send, body: bytes, seconds: float) -> None:
    size = max(1, -(-len(body) // PIECES))
    for begin in range(0, len(body), size):
        await send({"type": "http.response.body", "body": body[begin : begin + size], "more_body": True})
        await asyncio.sleep(seconds / PIECES)
    await send({"type": "http.response.body", "body": b""})


def _connection(send: Send, fault: str) -> Any:
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError(f"{fault}, as told")
    return transport


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", str(len(body)).encode()
