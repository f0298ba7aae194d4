"""The caller's side of a websocket, over ASGI: its messages, read ahead, and whether it is gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

__all__ = ["Close", "WebsocketCaller"]

READ_AHEAD = 2**20  # bytes of messages that wait for an app that does not read them yet
CLOSE_TIMEOUT = 2.0  # seconds for a close frame to a caller that does not read
MAX_REASON = 123  # bytes of a close frame's reason
NO_CODE = 1005  # a close frame without a code, or none


@dataclass(frozen=True, slots=True)
class Close:
    """A close frame; a code of None is an empty one."""

    code: int | None
    reason: str = ""

    @property
    def short_reason(self) -> str:
        """The reason, cut to what a frame holds."""
        return self.reason.encode()[:MAX_REASON].decode("utf-8", "ignore")


class WebsocketCaller:
    """One caller, from its handshake on.

    Reading ahead detects that the caller leaves, and answers its pings, while the app is busy.

    Attributes:
        gone: Done when its side is closed; messages that it sent before remain.
        accepted: Whether the handshake was completed.
        closed: Whether this side is closed, or the handshake was denied.
    """

    def __init__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self.gone: asyncio.Future[Close] = asyncio.get_running_loop().create_future()
        self.accepted = self.closed = False
        self._messages: deque[str | bytes] = deque()
        self._size = 0
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._reading = asyncio.create_task(self._read(), name="websocket caller")

    async def stop(self) -> None:
        """Stop reading."""
        self._reading.cancel()
        await asyncio.wait({self._reading})

    async def accept(self, subprotocol: str | None, headers: list[tuple[bytes, bytes]]) -> None:
        """Complete the handshake. Raises OSError if the caller is gone or was denied."""
        if self.closed or self.gone.done():
            raise ConnectionError("the caller is gone")
        self.accepted = True
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})

    async def deny(self, response: Response) -> None:
        """Answer the handshake with an HTTP response instead."""
        if self.accepted or self.closed or self.gone.done():
            return
        self.closed = True
        with contextlib.suppress(OSError):
            await response(self._scope, self._receive, self._send)

    async def next_message(self) -> str | bytes | None:
        """Return the caller's next message; None when it is gone and all are read."""
        while not self._messages:
            if self.gone.done():
                return None
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        self._size -= len(message)
        self._room.set()
        return message

    async def send(self, message: str | bytes) -> None:
        """Send a message once the caller has read the earlier ones. Raises OSError if it is gone."""
        kind = "text" if isinstance(message, str) else "bytes"
        await self._send({"type": "websocket.send", kind: message})

    async def close(self, close: Close) -> None:
        """Send a close frame, unless the caller is gone."""
        if self.closed or self.gone.done() or not self.accepted:
            return
        self.closed = True
        event = {"type": "websocket.close", "code": close.code, "reason": close.short_reason}
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._send(event)

    async def _read(self) -> None:
        while True:
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                code = event.get("code")
                self.gone.set_result(Close(None if code in (None, NO_CODE) else code, event.get("reason") or ""))
                self._arrived.set()
                return
            if event["type"] == "websocket.receive":
                data = event.get("bytes")
                message = data if data is not None else event["text"]
                self._messages.append(message)
                self._size += len(message)
                self._arrived.set()
                while self._size > READ_AHEAD:
                    self._room.clear()
                    await self._room.wait()
