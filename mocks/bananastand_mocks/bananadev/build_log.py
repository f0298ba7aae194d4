"""The log of a build, as a websocket. Knows builds by their deployment's id.

Observed: text frames {"t": ISO time, "m": line}; the CLI reconnects after a close it does not expect, so the socket
stays open until the build is over and is then closed in order.
"""

from __future__ import annotations

import asyncio
import json

from starlette.websockets import WebSocket, WebSocketDisconnect

from ..kernel.world import World
from ..kernel.worlds import Worlds
from . import state

__all__ = ["stream_log"]

PAUSE = 0.05  # seconds between two looks
POLICY_VIOLATION = 1008


async def stream_log(websocket: WebSocket, worlds: Worlds) -> None:
    """Send the lines there are and those that come, then close. A wrong key or build is refused."""
    world = worlds.holding("banana", websocket.headers.get("x-banana-api-key", ""))
    build = websocket.path_params["build"]
    if world is None or build not in state.deployments(world):
        await websocket.close(POLICY_VIOLATION)
        return
    await websocket.accept()
    try:
        await _follow(websocket, world, build)
    except WebSocketDisconnect:
        return


async def _follow(websocket: WebSocket, world: World, build: str) -> None:
    sent = 0
    while True:
        world.clock.run_due()
        over = state.deployments(world)[build]["status"] in ("live", "failed")
        lines = state.log_lines(world, build)
        for line in lines[sent:]:
            await websocket.send_text(json.dumps(line))
        sent = len(lines)
        if over:
            await websocket.close()
            return
        await asyncio.sleep(PAUSE)
