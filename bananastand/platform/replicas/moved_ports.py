"""Whether this machine moves the listening sockets of programs, and which sockets of a replica were moved."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["MovedPorts", "read_bind_events", "redirect_command", "redirection_problem"]

PROGRAM = Path(__file__).with_name("_port_redirect")  # a folder with a __main__
PROBE = 10.0  # seconds


@functools.cache
def redirection_problem() -> str | None:
    """Why listening sockets are not moved here, or None if they are. Tried once, for real."""
    if sys.platform != "linux":
        return f"not on {sys.platform}"
    try:
        probe = subprocess.run(
            [sys.executable, "-I", "-S", str(PROGRAM), "--probe"], capture_output=True, text=True, timeout=PROBE
        )
        event: dict[str, Any] = json.loads(probe.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
    return None if event.get("redirect") else str(event.get("reason"))


def redirect_command(events: int, command: tuple[str, ...]) -> tuple[str, ...]:
    """The command that runs `command` with its listening sockets moved. events: a descriptor for what happens."""
    return (sys.executable, "-I", "-S", str(PROGRAM), str(events), "--", *command)


class MovedPorts:
    """The listening sockets of one replica: for each port asked for, where it is. `changed` is called with each."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._places: dict[int, tuple[str, int]] = {}
        self._changed = changed

    def add(self, asked: int, address: str, port: int) -> None:
        """A socket was bound."""
        self._places[asked] = (address, port)
        self._changed()

    def address_of(self, asked: int) -> tuple[str, int] | None:
        """Where the socket for a port is."""
        return self._places.get(asked)

    @property
    def requested_ports(self) -> list[int]:
        """All ports asked for, the latest first."""
        return list(reversed(self._places))


async def read_bind_events(descriptor: int, on_bound: Callable[[int, int, str, int], None]) -> asyncio.Task[None]:
    """Read what `port_redirect` reports, until it ends.

    Args:
        descriptor: The reading end of a pipe; it is closed in the end.
        on_bound: Called with session, port asked for, address and port.
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
