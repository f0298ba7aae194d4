"""The log of a build, as a websocket.

Observed: text frames {"t": ISO time, "m": line}; the CLI reconnects after a close that it does not expect, so the
socket stays open until the build is over and is then closed in order. websocket-client, on which the CLI is built,
reconnects since its version 1.9 after that too, for ever. It would print the log again every five seconds; so it is
recognised, and its second socket stays open and silent until the CLI is interrupted.
"""

from __future__ import annotations

import asyncio
import json
import time
from math import inf
from typing import TYPE_CHECKING

from .runtime import Runtime

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["PATH", "LogReaders", "stream_build_log"]

PATH = "/ws/logs/{build}"
PAUSE = 0.05  # seconds between two looks at the log
POLICY_VIOLATION = 1008
RECONNECTS_WITHIN = 8.0  # seconds after an orderly close; the CLI waits five


async def stream_build_log(websocket: WebSocket, runtime: Runtime | None, readers: LogReaders) -> None:
    """Send the lines of a build's log until the build is over, then close.

    Args:
        websocket: The socket; its path names the build.
        runtime: The runtime that has the build; None refuses the socket, as an unknown build does.
        readers: Those whom this server has sent a log.
    """
    from starlette.websockets import WebSocketDisconnect  # the mocks start without Starlette

    build = websocket.path_params["build"]
    if runtime is None or runtime.build_output(build) is None:
        await websocket.close(POLICY_VIOLATION)
        return
    await websocket.accept()
    closed = asyncio.create_task(_wait_for_close(websocket))
    try:
        if readers.is_back(websocket, build):
            await closed
        else:
            await _follow(websocket, runtime, build, closed)
            readers.note_end(websocket, build)
    except WebSocketDisconnect:
        return
    finally:
        closed.cancel()


class LogReaders:
    """Who has read which log to its end a moment ago, by build and host."""

    def __init__(self) -> None:
        self._ends = dict[tuple[str, str], float]()

    def note_end(self, websocket: WebSocket, build: str) -> None:
        """Remember that a log was sent to its end."""
        now = time.monotonic()
        self._ends = {reader: end for reader, end in self._ends.items() if now - end < RECONNECTS_WITHIN}
        if websocket.client is not None:
            self._ends[build, websocket.client.host] = now

    def is_back(self, websocket: WebSocket, build: str) -> bool:
        """Return whether websocket-client, which names no User-Agent, comes back to a log that it has read."""
        if websocket.client is None or "user-agent" in websocket.headers:
            return False
        return time.monotonic() - self._ends.get((build, websocket.client.host), -inf) < RECONNECTS_WITHIN


async def _follow(websocket: WebSocket, runtime: Runtime, build: str, closed: asyncio.Task[None]) -> None:
    """Send lines until the build is over or deleted, or the caller closes."""
    sent = 0
    while not closed.done():
        output = runtime.build_output(build)
        lines = output.lines if output is not None else ()
        for line in lines[sent:]:
            await websocket.send_text(json.dumps(line))
        sent = len(lines)
        if output is None or output.is_over:
            await websocket.close()
            return
        await asyncio.wait({closed}, timeout=PAUSE)


async def _wait_for_close(websocket: WebSocket) -> None:
    """Return when the caller closes; its messages are ignored."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
