"""The log of a build, as a websocket. Knows builds by their deployment's id.

Observed: text frames {"t": ISO time, "m": line}; the CLI reconnects after a close it does not expect, so the socket
stays open until the build is over and is then closed in order.
"""

from __future__ import annotations

import asyncio
import json

from starlette.websockets import WebSocket, WebSocketDisconnect

from ..kernel.app import PINNED
from ..kernel.world import World
from ..kernel.worlds import Worlds
from . import state
from .runtime import Runtime

__all__ = ["stream_log"]

PAUSE = 0.05  # seconds between two looks
POLICY_VIOLATION = 1008


async def stream_log(websocket: WebSocket, worlds: Worlds, runtime: Runtime) -> None:
    """Send the lines there are and those that come, then close. A wrong key or build is refused."""
    world = worlds.holding("banana", websocket.headers.get("x-banana-api-key", ""))
    build, pinned = websocket.path_params["build"], websocket.scope.get(PINNED)
    if world is None or pinned not in (None, world) or build not in state.deployments(world):
        await websocket.close(POLICY_VIOLATION)
        return
    await websocket.accept()
    leaving = asyncio.create_task(_left(websocket))
    try:
        await _follow(websocket, world, build, leaving, runtime)
    except WebSocketDisconnect:
        return
    finally:
        leaving.cancel()


async def _follow(
    websocket: WebSocket, world: World, build: str, leaving: asyncio.Task[None], runtime: Runtime
) -> None:
    """Until the build is over or forgotten, or the caller has left."""
    sent = 0
    while not leaving.done():
        world.clock.run_due()
        row = state.deployments(world).get(build)
        lines = runtime.log_lines(world, build) if row is not None else []
        for line in lines[sent:]:
            await websocket.send_text(json.dumps(line))
        sent = len(lines)
        if row is None or row["status"] in ("live", "failed"):
            await websocket.close()
            return
        await asyncio.wait({leaving}, timeout=PAUSE)


async def _left(websocket: WebSocket) -> None:
    """Return when the caller closes; what it says is not listened to."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
