"""Ends what waits for a replica when its node is lost: the connection to a frozen node says nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from ..errors import NodeLost
from ..nodes import RunningReplica

__all__ = ["end_of", "stop_on_node", "until_node_lost"]


@contextmanager
def until_node_lost(lost: asyncio.Future[str] | None) -> Generator[None]:
    """Cancel the block's task once the node is lost, and raise NodeLost in place of the cancellation.

    Args:
        lost: Done when the node is lost; None for this machine, which costs nothing.
    """
    if lost is None:
        yield
        return
    task, is_open, is_cut = asyncio.current_task(), True, False
    assert task is not None, "there is a task to cancel"
    earlier = task.cancelling()

    def cut(_: asyncio.Future[str]) -> None:
        nonlocal is_cut
        if is_open:
            is_cut = True
            task.cancel()

    lost.add_done_callback(cut)
    try:
        yield
    except asyncio.CancelledError:
        if is_cut and task.uncancel() <= earlier:
            raise NodeLost(lost.result()) from None
        raise
    finally:
        is_open = False
        lost.remove_done_callback(cut)


async def end_of(running: RunningReplica) -> int:
    """Wait for the end of a program, and return its exit status. Raises NodeLost once the node is gone."""
    if running.lost is None:
        return await running.ended()
    ended = asyncio.create_task(running.ended())
    try:
        await asyncio.wait({ended, running.lost}, return_when=asyncio.FIRST_COMPLETED)
        if running.lost.done():
            raise NodeLost(running.lost.result())
        return ended.result()
    finally:
        ended.cancel()


async def stop_on_node(running: RunningReplica, grace: float) -> None:
    """Stop a program, or leave it to its node where that is gone."""
    stop = asyncio.create_task(running.stop(grace))
    try:
        await asyncio.wait(
            {stop} if running.lost is None else {stop, running.lost}, return_when=asyncio.FIRST_COMPLETED
        )
        if stop.done():
            await stop
    finally:
        stop.cancel()
