"""Messages between a platform and its bridge: JSON objects with their length before them, over a socketpair."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from typing import Any

from bananastand.platform.launch import Launch
from bananastand.platform.nodes import ReplicaOrder, Resources

__all__ = ["MessageStream", "order_from_message", "order_message"]

Message = dict[str, Any]
PREFIX = struct.Struct("!I")
MAX_MESSAGE = 64 * 2**20  # bytes


class MessageStream:
    """One end of the socketpair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message; it is dropped if the other end has closed."""
        content = json.dumps({"kind": kind, **fields}, separators=(",", ":")).encode()
        if not self._writer.is_closing():
            self._writer.write(PREFIX.pack(len(content)) + content)

    async def receive(self) -> Message | None:
        """Return the next message; None once the other end has closed. Raises ValueError for what is no message."""
        try:
            (size,) = PREFIX.unpack(await self._reader.readexactly(PREFIX.size))
            if size > MAX_MESSAGE:
                raise ValueError(f"a message of {size} bytes")
            return json.loads(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def drain(self) -> None:
        """Wait until the other end has taken most of what was sent, or has closed."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    def close(self) -> None:
        """Close this end."""
        self._writer.close()


def order_message(order: ReplicaOrder) -> Message:
    """Return an order as a JSON object. It holds secrets: it is sent, and never logged or written to a disk."""
    resources = order.resources
    return {
        "replica": order.replica,
        "project": order.project,
        "deployment": order.deployment,
        "launch": order.launch.to_json(),
        "host": order.host,
        "concurrency": order.concurrency,
        "secrets": dict(order.secrets),
        "resources": {
            "gpus": resources.gpus,
            "gpu_memory_gb": resources.gpu_memory_gb,
            "memory_mb": resources.memory_mb,
            "labels": dict(resources.labels),
        },
        "may_share_gpu": order.may_share_gpu,
        "gpus": order.gpus,
    }


def order_from_message(message: Message) -> ReplicaOrder:
    """Return the order that `order_message` wrote. Raises ValueError, KeyError or TypeError for anything else."""
    values = dict(message)
    values["launch"] = Launch.from_json(values["launch"])
    values["resources"] = Resources(**values["resources"])
    values["gpus"] = tuple(values["gpus"]) if values["gpus"] is not None else None
    return ReplicaOrder(**values)
