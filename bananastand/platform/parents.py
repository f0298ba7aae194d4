"""Parents that fork replicas: one for each environment, started when an app of it has shown what it imports.

A fork takes milliseconds where imports take seconds. The first replica of a version is started as a process and notes
what it has imported (BANANASTAND_MODULES); from then on a parent with the same imports stands by. Knows the parent's
messages (`serving.parent`); where there is none, or it fails, replicas are started as processes.
"""

from __future__ import annotations

import array
import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from .commands import Start
from .process import Process, spawn

__all__ = ["Parents"]

Key = tuple[str, tuple[tuple[str, str], ...]]
LONGEST = 64 * 2**10
PATIENCE = 5.0  # seconds for a fork


class Parents:
    """`most` of them stand by at once; the one that was used longest ago ends first. 0 for none."""

    def __init__(self, most: int) -> None:
        self._most = most if sys.platform == "linux" else 0
        self._parents: dict[Key, _Parent] = {}

    async def spawn(self, start: Start, on_line: Callable[[str], None]) -> tuple[Process, str]:
        """Start a replica, forked where a parent stands by; and how, in words. Raises OSError."""
        parent = self._parents.get(_key(start)) if start.serve is not None else None
        if parent is not None and parent.ready:
            self._parents[_key(start)] = self._parents.pop(_key(start))
            forked = await parent.fork(start, on_line)
            if forked is not None:
                return forked, "forked from a parent that has its imports"
        return await spawn(start.command, start.folder, start.environment, on_line), "started as a process"

    def stand_by(self, start: Start, say: Callable[[str], None]) -> None:
        """Have a parent for more such starts, once one of them has noted its imports."""
        if not self._most or start.serve is None or start.modules is None or not start.modules.exists():
            return
        known = self._parents.get(_key(start))
        if known is not None and not known.over:
            return
        while len(self._parents) >= self._most:
            self._parents.pop(next(iter(self._parents))).end()
        self._parents[_key(start)] = _Parent(start, say)

    async def close(self) -> None:
        """End all parents."""
        parents = list(self._parents.values())
        self._parents.clear()
        for each in parents:
            each.end()
        await asyncio.gather(*(each.gone() for each in parents))


class _Parent:
    def __init__(self, start: Start, say: Callable[[str], None]) -> None:
        self.ready = self.over = False
        self._say = say
        self._line, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.setblocking(False)
        self._pids: dict[str, asyncio.Future[int]] = {}
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._process: Process | None = None
        self._life = asyncio.create_task(self._live(start), name="parent")

    async def fork(self, start: Start, on_line: Callable[[str], None]) -> Process | None:
        """A child; None where there is none in time."""
        assert start.serve is not None
        loop, id = asyncio.get_running_loop(), start.environment["BANANASTAND_REPLICA"]
        read, write = os.pipe()
        asked = {"id": id, "folder": start.folder, "environment": start.environment, **start.serve}
        self._pids[id] = born = loop.create_future()
        try:
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [write]))]
            self._line.sendmsg([json.dumps(asked).encode()], passed)
            async with asyncio.timeout(PATIENCE):
                pid = await born
        except (OSError, TimeoutError):
            os.close(read)
            self.end()
            return None
        finally:
            os.close(write)
            self._pids.pop(id, None)
        stream = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(read, "rb", 0))
        end = self._ends.pop(pid, None)
        if end is None:  # it has not ended already
            self._ends[pid] = end = loop.create_future()
        return Process(pid, end, stream, on_line)

    def end(self) -> None:
        """It ends when its line does, and its children with it."""
        self.ready = False
        self._close()

    async def gone(self) -> None:
        """Wait for its end."""
        await asyncio.wait({self._life})

    async def _live(self, start: Start) -> None:
        """Start it, listen to it, and take its children for ended when it has ended."""
        assert start.serve is not None
        command = (start.command[0], "-P", "-m", "bananastand.serving.parent", str(self._theirs.fileno()))
        loop = asyncio.get_running_loop()
        try:
            self._process = await spawn(
                (*command, str(start.modules)), "/", start.base, self._say, pass_fds=(self._theirs.fileno(),)
            )
        except OSError as error:
            self._say(f"no parent can be started: {error}")
            self.over = True
            return
        finally:
            self._theirs.close()
        loop.add_reader(self._line.fileno(), self._hear)
        await self._process.ended()
        self._close()
        self.over, self.ready = True, False
        for end in self._ends.values():
            if not end.done():
                end.set_result(-9)

    def _hear(self) -> None:
        try:
            raw = self._line.recv(LONGEST)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            raw = b""
        if not raw:
            self._close()
            return
        told: dict[str, Any] = json.loads(raw)
        if "ready" in told:
            self.ready = True
            self._say(f"a parent with the app's imports stands by, after {told['ready']:.2f} s")
        elif "refused" in told:
            self._say(f"no parent stands by: {told['refused']}")
        elif "id" in told:
            born = self._pids.get(told["id"])
            if born is not None and not born.done():
                born.set_result(told["pid"])
        else:
            end = self._ends.pop(told["pid"], None)
            if end is None:  # before anybody was told that it began
                self._ends[told["pid"]] = end = asyncio.get_running_loop().create_future()
            if not end.done():
                end.set_result(told["status"])

    def _close(self) -> None:
        if self._line.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._line.fileno())
            self._line.close()


def _key(start: Start) -> Key:
    """What makes two starts alike: the interpreter, and the environment without what is each replica's own."""
    return start.command[0], tuple(sorted(start.base.items()))
