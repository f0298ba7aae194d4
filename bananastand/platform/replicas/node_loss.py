"""Ends what waits for a replica when its node is lost: the connection to a frozen node says nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from ..errors import NodeLost

__all__ = ["until_node_lost"]


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
