"""Moves the listening sockets of replicas to private ports, where this machine supports it, and records them."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["MovedPorts", "read_bind_events", "redirect_command", "redirection_problem"]

PROGRAM = Path(__file__).with_name("_port_redirect")  # a folder with a __main__
PROBE_TIMEOUT = 10.0  # seconds


@functools.cache
def redirection_problem() -> str | None:
    """Return why listening sockets cannot be moved here; None where they can. The result of one real try is cached."""
    if sys.platform != "linux":
        return f"not on {sys.platform}"
    try:
        probe = subprocess.run(
            [sys.executable, "-I", "-S", str(PROGRAM), "--probe"], capture_output=True, text=True, timeout=PROBE_TIMEOUT
        )
        event: dict[str, Any] = json.loads(probe.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
    return None if event.get("redirect") else str(event.get("reason"))


def redirect_command(events: int, command: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command that runs `command` with its listening sockets moved.

    Args:
        events: The writing end of a pipe for `read_bind_events`.
        command: The program and its arguments.
    """
    return (sys.executable, "-I", "-S", str(PROGRAM), str(events), "--", *command)


class MovedPorts:
    """The moved listening sockets of one replica, by requested port.

    Args:
        changed: Called with each new socket.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._addresses: dict[int, tuple[str, int]] = {}
        self._changed = changed

    def add(self, requested: object, address: object, port: object) -> None:
        """Record a socket. What is not on loopback is ignored: an app may say anything, and callers would reach it."""
        if not (isinstance(requested, int) and isinstance(port, int) and 0 < port < 65_536 and _is_loopback(address)):
            return
        self._addresses[requested] = (str(address), port)
        self._changed()

    @property
    def addresses(self) -> Mapping[int, tuple[str, int]]:
        """The addresses of the sockets by requested port, the latest last."""
        return self._addresses


def _is_loopback(address: object) -> bool:
    try:
        return ipaddress.ip_address(str(address)).is_loopback
    except ValueError:
        return False


async def read_bind_events(descriptor: int, on_bound: Callable[[int, int, str, int], None]) -> asyncio.Task[None]:
    """Read the events of `_port_redirect` in a task, until it ends.

    Args:
        descriptor: The reading end of a pipe; the task closes it.
        on_bound: Called with session, requested port, address and port.
    """
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
    )

    async def read() -> None:
        try:
            while line := await reader.readline():
                event: dict[str, Any] = json.loads(line)
                if "bound" in event:
                    on_bound(event["session"], event["bound"], event["address"], event["port"])
        finally:
            transport.close()

    return asyncio.create_task(read(), name="moved ports")
