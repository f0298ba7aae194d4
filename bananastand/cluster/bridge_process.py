"""The bridge: a child process of the platform in which Ray runs.

Ray ends its driver when the cluster's head is lost, and some of its calls block. So neither happens to the platform.
The child ends when the platform's end of the socket is closed, and its keepers end with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

from bananastand.platform.store.private_files import UMASK, protect_memory

from .wire import MessageStream

__all__ = ["main"]

HEARTBEAT = 1.0  # seconds between two messages about the nodes
FATAL = ("Version mismatch", "serves its dashboard")  # in an error that no other attempt mends


async def main(descriptor: int) -> None:
    """Connect to Ray, and do what the platform's messages say until it closes the socket.

    Args:
        descriptor: Of the socket to the platform.
    """
    connection = socket.socket(fileno=descriptor)
    stream = MessageStream(*await asyncio.open_connection(sock=connection))
    options = await stream.receive()
    if options is None:
        return
    stream.send("alive")
    alive = asyncio.create_task(_say_alive(stream))
    ending = asyncio.create_task(_receive(stream))
    try:
        from .ray_nodes import RayNodes

        nodes = RayNodes(options, stream.send, stream.drain)
        await asyncio.to_thread(nodes.connect)
    except Exception as error:
        text = " ".join(" ".join(map(str, _causes(error))).split())
        stream.send("problem", text=_advise(text), is_fatal=any(words in text for words in FATAL))
        await asyncio.sleep(0.2)
        return
    alive.cancel()
    stream.send("connected")
    background = {asyncio.create_task(nodes.run()), asyncio.create_task(_report(stream, nodes))}
    starts = dict[str, asyncio.Task[None]]()
    while (message := await ending) is not None:
        ending = asyncio.create_task(_receive(stream))
        if message["kind"] == "close":
            break
        for task in _act(nodes, message, starts):
            background.add(task)
            task.add_done_callback(background.discard)
    await nodes.close()


def _act(nodes: Any, message: dict[str, Any], starts: dict[str, asyncio.Task[None]]) -> list[asyncio.Task[None]]:
    """Do what a message says; returns the tasks that do it."""
    match message["kind"]:
        case "start":
            replica = message["order"]["replica"]
            starts[replica] = task = asyncio.create_task(nodes.start(message))
            task.add_done_callback(lambda _: starts.pop(replica, None))
            return [task]
        case "cancel":
            if (task := starts.get(message["replica"])) is not None:
                task.cancel()
        case "call":
            return [asyncio.create_task(nodes.call(message["replica"], message["method"], message["arguments"]))]
        case "clean_up":
            return [asyncio.create_task(nodes.clean_up(message["replica"]))]
        case "release":
            nodes.release(message["replica"])
        case "want":
            nodes.want(message["bundles"])
        case _:
            pass
    return []


async def _receive(stream: MessageStream) -> dict[str, Any] | None:
    """Return the next message. The process ends at once when the platform is gone, whatever Ray is doing."""
    message = await stream.receive()
    if message is None:
        os._exit(0)
    return message


async def _say_alive(stream: MessageStream) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT)
        stream.send("alive")


async def _report(stream: MessageStream, nodes: Any) -> None:
    while True:
        stream.send("nodes", **nodes.snapshot())
        await asyncio.sleep(HEARTBEAT)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _advise(text: str) -> str:
    """Return an error of Ray's at the connection with what to do."""
    if "Version mismatch" in text:
        return f"the cluster's head has another version than this machine: {text}. Install the same on all machines"
    if "InvalidAuthToken" in text or "Unauthenticated" in text:
        return "the cluster's head refuses this machine's token: join the cluster again with `bananastand join`"
    if "ConnectionError" in text or "Failed to connect" in text or "Failed to get" in text:
        return f"the cluster's head cannot be reached ({text[:200]}): is it running, and its port open from here?"
    return text[:600]


if __name__ == "__main__":
    os.umask(UMASK)
    protect_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the platform's, which closes the socket
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(json.loads(sys.argv[1]))))
    os._exit(0)
