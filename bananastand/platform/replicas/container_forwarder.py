"""Reaches an app in a container that does not listen where the published port leads to.

Such an app listens on loopback of the container's own network, or on another port. `_container_forwarder` relays to it:
in a process of this machine that enters the container's network, which root can, and the user of a rootless podman. As
another user it runs in the container, where the image has Python 3.7 or newer.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from .process import Process, spawn
from .start_command import PLATFORM_VARIABLE, REPLICA_VARIABLE, StartCommand

__all__ = ["ContainerForwarder", "OTHER_PORT"]

OTHER_PORT = 20.0  # seconds after which an app counts as ready on a port that is not the expected one
PROGRAM = Path(__file__).with_name("_container_forwarder.py")


class ContainerForwarder:
    """The forwarder of one replica, from its first need to the replica's end.

    Args:
        start: What the replica runs.
        waited: Seconds since the start of the replica.

    Attributes:
        address: The address on this machine that leads to the app; None until there is one.
        listeners: What listens in the container, in words; None until it is known.
        failure: Why nothing can be forwarded, in words.
    """

    def __init__(self, start: StartCommand, waited: float) -> None:
        self.address: tuple[str, int] | None = None
        self.listeners: str | None = None
        self.failure: str | None = None
        self._start, self._seconds = start, max(0.0, OTHER_PORT - waited)
        self._process: Process | None = None
        self._output = list[str]()
        self._task = asyncio.create_task(self._run(), name=f"forwarder of {start.container}")

    async def close(self) -> None:
        """End it."""
        self._task.cancel()
        await asyncio.wait({self._task})
        if self._process is not None:
            await self._process.stop(0.0)

    async def _run(self) -> None:
        """Run in the container's network, or, where that is impossible, in the container."""
        port = (self._start.environment["PORT"], f"{self._seconds:.1f}")
        pid = await self._find_pid()
        if pid is not None:
            mark = f"{REPLICA_VARIABLE}={self._start.environment[REPLICA_VARIABLE]}"
            enter = ("podman", "unshare") if self._start.engine == "podman" and os.geteuid() else ()
            await self._follow((*enter, sys.executable, "-I", "-S", str(PROGRAM), *port, str(pid), mark))
        code = await asyncio.to_thread(PROGRAM.read_text, "utf-8")
        engine, container = self._start.engine or "docker", self._start.container or ""
        await self._follow((engine, "exec", container, "python3", "-c", code, *port))
        why = f": {self._output[-1][:200]}" if self._output else ""
        self.failure = self.failure or f"no program can forward to it{why}"

    async def _find_pid(self) -> int | None:
        """Return the id of the container's first process, where it runs on this machine."""
        if sys.platform != "linux":
            return None
        command = (self._start.engine or "", "inspect", "--format", "{{.State.Pid}}", self._start.container or "")
        await self._follow(command)
        words = self._output[-1].split() if self._output else []
        return int(words[0]) if words and words[0].isdecimal() and words[0] != "0" else None

    async def _follow(self, command: tuple[str, ...]) -> None:
        """Run a program to its end and hear its events."""
        self._output.clear()
        self.address = None
        names = ("PATH", "HOME", "XDG_RUNTIME_DIR", PLATFORM_VARIABLE, REPLICA_VARIABLE)
        own = {name: value for name, value in self._start.environment.items() if name in names}
        environment = self._start.environment if command[0] == self._start.engine else own
        try:
            self._process = await spawn(command, None, environment, self._hear)
            await self._process.ended()
        except OSError as error:
            self._output.append(f"{command[0]}: {error.strerror}")

    def _hear(self, line: str) -> None:
        self._output.append(line)
        if not line.startswith("{"):
            return
        event: dict[str, Any] = json.loads(line)
        if "port" in event:
            self.address = ("127.0.0.1", event["port"] or self._start.port)
        if "listeners" in event:
            self.listeners = _in_words(event["listeners"], event["unix"])


def _in_words(listeners: list[tuple[str, int]], unix: list[str]) -> str:
    """Describe the listening sockets of a container."""
    texts = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in listeners]
    if texts:
        return f"in its container it listens on {', '.join(texts)}"
    if unix:
        return f"in its container it listens on no port, but on the Unix socket {', '.join(unix)}"
    return "in its container it listens on no port yet"
