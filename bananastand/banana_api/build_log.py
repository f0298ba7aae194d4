"""The log of a build, as a websocket.

Observed: text frames {"t": ISO time, "m": line}; the CLI reconnects after a close that it does not expect, so the
socket stays open until the build is over and is then closed in order.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from .runtime import Runtime

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["PATH", "stream_build_log"]

PATH = "/ws/logs/{build}"
PAUSE = 0.05  # seconds between two looks at the log
POLICY_VIOLATION = 1008


async def stream_build_log(websocket: WebSocket, runtime: Runtime | None) -> None:
    """Send the lines of a build's log until the build is over, then close.

    Args:
        websocket: The socket; its path names the build.
        runtime: The runtime that has the build; None refuses the socket, as an unknown build does.
    """
    from starlette.websockets import WebSocketDisconnect  # the mocks start without Starlette

    build = websocket.path_params["build"]
    if runtime is None or runtime.build_output(build) is None:
        await websocket.close(POLICY_VIOLATION)
        return
    await websocket.accept()
    closed = asyncio.create_task(_wait_for_close(websocket))
    try:
        await _follow(websocket, runtime, build, closed)
    except WebSocketDisconnect:
        return
    finally:
        closed.cancel()


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
