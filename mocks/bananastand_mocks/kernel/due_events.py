"""Runs what falls due in worlds whose clock follows real time, without waiting for a call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from .worlds import Worlds

__all__ = ["running_events"]

log = logging.getLogger("bananastand_mocks")

PERIOD = 0.02  # seconds between two looks at the clocks of worlds in real time


@asynccontextmanager
async def running_events(worlds: Worlds) -> AsyncGenerator[None]:
    """Run due events as long as the context lasts."""
    runner = asyncio.create_task(_run_events(worlds))
    try:
        yield
    finally:
        runner.cancel()
        with suppress(asyncio.CancelledError):
            await runner


async def _run_events(worlds: Worlds) -> None:
    while True:
        try:
            worlds.turn()
        except Exception:
            log.exception("event failed")
        await asyncio.sleep(PERIOD)
