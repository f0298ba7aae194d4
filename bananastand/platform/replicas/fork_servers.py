"""Fork servers: one for each environment, started when an app of it has reported what it imports.

A fork takes milliseconds where imports take seconds. The first replica of a version is started as a process and reports
its modules; from then on a fork server with the same imports is warm. Where there is none, or it fails, replicas are
started as processes.
"""

from __future__ import annotations

import array
import asyncio
import json
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .bind_mounts import path_inside
from .moved_ports import MovedPorts, read_bind_events, redirect_command, redirection_problem
from .process import Output, Process, is_stopped, spawn
from .sandbox import environment_inside, sandbox_problem
from .sandboxed_start import remove_after_exit, sandbox_start
from .start_command import StartCommand
from .starter import WORKER, StartedProgram, start_process
from .worker_client import WorkerClient
from .writable_layer import overlay_problem, writes_files

__all__ = ["ForkServers"]

Key = tuple[str, str | None, tuple[tuple[str, str], ...]]
LONGEST = 64 * 2**10
CREDENTIALS = struct.Struct("3i")  # of who sends: pid, uid, gid, as they are here
PATIENCE = 5.0  # seconds for a fork
LATE = 3  # forks in a row that come too late before a fork server is ended
END = 3.0  # seconds for a fork server to end by itself


class ForkServers:
    """`most` of them are warm at once; the one that was used longest ago ends first. 0 for none."""

    def __init__(self, most: int) -> None:
        self._most = most if sys.platform == "linux" else 0
        self._servers: dict[Key, _ForkServer] = {}

    async def start(self, start: StartCommand, on_line: Callable[[str], None]) -> StartedProgram:
        """Start a replica, forked where a fork server is warm. Raises OSError."""
        server = self._servers.get(_key(start)) if start.worker_arguments is not None else None
        if server is not None and server.ready and not await asyncio.to_thread(_must_be_alone, start):
            self._servers[_key(start)] = self._servers.pop(_key(start))
            forked = await server.fork(start, on_line)
            if forked is not None:
                return forked
        return await start_process(start, on_line)

    def warm_up(self, start: StartCommand, modules: Path, say: Callable[[str], None]) -> None:
        """Have a fork server for more such starts. modules: a file with the names of what the app imports."""
        if not self._most or start.worker_arguments is None or not modules.exists():
            return
        known = self._servers.get(_key(start))
        if known is not None and not known.over:
            return
        while len(self._servers) >= self._most:
            self._servers.pop(next(iter(self._servers))).end()
        self._servers[_key(start)] = _ForkServer(start, modules, say)

    async def close(self) -> None:
        """End all fork servers."""
        servers = list(self._servers.values())
        self._servers.clear()
        for each in servers:
            each.end()
        await asyncio.gather(*(each.gone() for each in servers))


class _ForkServer:
    def __init__(self, start: StartCommand, modules: Path, say: Callable[[str], None]) -> None:
        self.ready = self.over = False
        self._late = 0  # forks in a row that did not come in time
        self._say = say
        self._line, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.setblocking(False)
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._outside: dict[int, int] = {}  # by the pid that a child has in its own namespace: the one it has here
        self._pids: dict[str, asyncio.Future[int]] = {}
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._ports: dict[int, MovedPorts] = {}  # by session, which is a child's pid
        self._process: Process | None = None
        self._life = asyncio.create_task(self._live(start, modules), name="fork server")

    async def fork(self, start: StartCommand, on_line: Callable[[str], None]) -> StartedProgram | None:
        """A child; None where there is none in time."""
        assert start.worker_arguments is not None, "only what the worker runs is forked"
        loop, id = asyncio.get_running_loop(), start.environment["BANANASTAND_REPLICA"]
        changed = asyncio.Event()
        read, write = os.pipe()
        ours, theirs = socket.socketpair()
        request: dict[str, Any] = {"id": id, "folder": start.folder, "environment": start.environment}
        if _is_sandboxed(start) and start.root is not None:
            request["folder"] = path_inside(start.folder or "/", start.root)
            request["environment"] = environment_inside(start.environment, start.root)
        request |= {"program": start.worker_arguments, "concurrency": start.concurrency}
        self._pids[id] = born = loop.create_future()
        try:
            passed = array.array("i", [write, theirs.fileno()])
            self._line.sendmsg([json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
            async with asyncio.timeout(PATIENCE):
                pid = await born
        except (OSError, TimeoutError):
            os.close(read)
            ours.close()
            self._late += 1
            if self._late >= LATE or self._process is None or is_stopped(self._process.pid):
                self._say("the fork server does not answer, and is ended")
                self.end()
            return None
        finally:
            os.close(write)
            theirs.close()
            self._pids.pop(id, None)
        if start.cgroup is not None:
            start.cgroup.add(pid)
        self._late = 0
        output = await Output.of(read)
        end = self._ends.pop(pid, None)
        if end is None:  # it has not ended already
            self._ends[pid] = end = loop.create_future()
        ports = self._ports.setdefault(pid, MovedPorts(changed.set))
        end.add_done_callback(lambda _: self._ports.pop(pid, None))
        worker = WorkerClient()
        worker.changed = changed
        await worker.attach(ours)
        how = "forked from a fork server that has its imports"
        return StartedProgram(Process(pid, end, output, on_line), how, changed, worker, ports)

    def end(self) -> None:
        """It ends when its line does, and its children with it; one that does not is killed."""
        self.ready = False
        self._close()
        if not self._life.done():
            asyncio.get_running_loop().call_later(END, self._kill)

    def _kill(self) -> None:
        if self._process is not None and not self._life.done():
            self._process.kill()

    async def gone(self) -> None:
        """Wait for its end."""
        await asyncio.wait({self._life})

    async def _live(self, start: StartCommand, modules: Path) -> None:
        """Start it, listen to it, and take its children for ended when it has ended."""
        command = (start.command[0], "-u", str(WORKER), "--fork-server", str(self._theirs.fileno()))
        descriptors, events, theirs, environment = [self._theirs.fileno()], None, None, start.shared_environment
        tmp: str | None = None
        if _is_sandboxed(start) and start.root is not None:
            made, tmp = await asyncio.to_thread(sandbox_start, start, command, "/", environment, visible=[str(modules)])
            command, environment = made.command, made.environment
        if start.moves_ports and redirection_problem() is None:
            events, theirs = os.pipe()
            command, descriptors = redirect_command(theirs, command), [*descriptors, theirs]
        try:
            self._process = await spawn(command, "/", environment, self._say, pass_fds=descriptors)
            remove_after_exit(self._process, tmp)
        except OSError as error:
            self._say(f"no fork server can be started: {error}")
            self.over = True
            if events is not None:
                os.close(events)
            return
        finally:
            self._theirs.close()
            if theirs is not None:
                os.close(theirs)
        reading = None
        if events is not None:
            reading = await read_bind_events(events, self._bound)
        loop = asyncio.get_running_loop()
        self._line.send(json.dumps({"modules": str(modules)}).encode())
        loop.add_reader(self._line.fileno(), self._hear)
        await self._process.ended()
        self._close()
        if reading is not None:
            reading.cancel()
        self.over, self.ready = True, False
        for end in self._ends.values():
            if not end.done():
                end.set_result(-9)

    def _bound(self, session: int, asked: int, address: str, port: int) -> None:
        self._ports.setdefault(session, MovedPorts(lambda: None)).add(asked, address, port)

    def _hear(self) -> None:
        try:
            raw, passed, _, _ = self._line.recvmsg(LONGEST, socket.CMSG_SPACE(CREDENTIALS.size))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            raw, passed = b"", []
        if not raw:
            self._close()
            return
        message: dict[str, Any] = json.loads(raw)
        if "ready" in message:
            self.ready = True
            self._say(f"a fork server with the app's imports is warm, after {message['ready']:.2f} s")
        elif "refused" in message:
            self._say(f"no fork server: {message['refused']}")
        elif "id" in message:
            self._outside[message["pid"]] = pid = CREDENTIALS.unpack(passed[0][2])[0]  # the child sends it itself
            born = self._pids.get(message["id"])
            if born is not None and not born.done():
                born.set_result(pid)
        elif (pid := self._outside.pop(message["pid"], None)) is not None:
            end = self._ends.pop(pid, None)
            if end is None:  # it ended before the fork was reported
                self._ends[pid] = end = asyncio.get_running_loop().create_future()
            if not end.done():
                end.set_result(message["status"])

    def _close(self) -> None:
        if self._line.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._line.fileno())
            self._line.close()


def _key(start: StartCommand) -> Key:
    """What makes two starts alike: interpreter, file tree, and the environment without what is each replica's own."""
    return start.command[0], start.root, tuple(sorted(start.shared_environment.items()))


def _must_be_alone(start: StartCommand) -> bool:
    """Whether the app writes files: forks of one server see one file tree, a process has a layer of its own."""
    return _is_sandboxed(start) and start.root is not None and overlay_problem() is None and writes_files(start.root)


def _is_sandboxed(start: StartCommand) -> bool:
    return start.root is not None and sandbox_problem() is None
