"""Sends nodes what they lack of a build, in chunks through Ray's object store."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any, Literal

from .build_files import BuildFiles
from .wire import order_from_message

__all__ = ["Shipper", "Unusable"]


class Unusable(Exception):
    """A replica cannot be started on the node that was chosen.

    Attributes:
        kind: "failed" for a fault of its version; no fault of it are "lost", "full" (the node's disk), and "unfit" (the
            node lacks something that this version needs).
    """

    def __init__(self, kind: Literal["failed", "lost", "full", "unfit"], text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Shipper:
    """Sends builds to keepers.

    Args:
        files: The builds.
        send: Sends a message to the platform.
    """

    def __init__(self, files: BuildFiles, send: Callable[..., None]) -> None:
        self._files, self._send = files, send
        self._transfers = itertools.count(1)
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}  # by node and version

    async def describe(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return the description of an order's build. Raises StoreError, OSError."""
        return await self._files.describe(order_from_message(order))

    async def ship(self, node: str, keeper: Any, order: dict[str, Any]) -> dict[str, Any]:
        """Send what a node lacks of a build; returns the description of all of it.

        Args:
            node: The node's name.
            keeper: Its keeper, as an actor.
            order: The order, as a message.

        Raises:
            Unusable: The node cannot run it, or has no space.
            StoreError, OSError: The build's files cannot be read.
        """
        shipment = await self.describe(order)
        async with self._locks.setdefault((node, order["deployment"]), asyncio.Lock()):
            found = await keeper.missing.remote(shipment)
            if (problem := found.get("unfit")) is not None:
                raise Unusable("unfit", f"node {node} cannot run it: {problem}")
            for need in found["needs"]:
                began = time.monotonic()
                size = await self._transfer(node, keeper, shipment, need)
                spent = f"{size / 2**20:.1f} MiB in {time.monotonic() - began:.1f} s"
                line = f"node {node} has got its {need['kind']}: {spent}"
                self._send("events", node="", events=[{"kind": "log", "replica": order["replica"], "line": line}])
        return shipment

    async def _transfer(self, node: str, keeper: Any, shipment: dict[str, Any], need: dict[str, Any]) -> int:
        """Send one thing; returns its bytes."""
        number, size = next(self._transfers), 0
        chunks = await self._files.chunks(shipment, need)
        await keeper.expect.remote(number)
        receiving = asyncio.create_task(_result(keeper.receive.remote(number, need, need.get("digest", ""))))
        try:
            async for chunk in chunks:
                size += len(chunk)
                if not await keeper.chunk.remote(number, chunk):
                    break
        finally:
            await keeper.chunk.remote(number, None)
        problem = await receiving
        if (text := problem.get("full")) is not None:
            raise Unusable("full", f"node {node} is skipped: {text}")
        if (text := problem.get("failed")) is not None:
            raise Unusable("unfit", f"node {node} did not get its {need['kind']}: {text}")
        return size


async def _result(reference: Any) -> Any:
    return await reference
