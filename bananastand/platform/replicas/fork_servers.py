"""Starts replicas by forking a server that has their imports: milliseconds, where imports take seconds.

There is one fork server for each environment. The first replica of a version is started as a process and reports its
modules. From then on a fork server with the same imports is warm. Where there is none, or it fails, replicas are
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
from .writable_layer import overlay_problem, writes_files

__all__ = ["ForkServers"]

Key = tuple[str, str | None, tuple[tuple[str, str], ...]]
MAX_PACKET = 64 * 2**10  # bytes
CREDENTIALS = struct.Struct("3i")  # of a packet's sender: pid, uid, gid, outside of its namespaces
FORK_TIMEOUT = 5.0  # seconds
MAX_LATE_FORKS = 3  # in a row, before a fork server is ended
END_TIMEOUT = 3.0  # seconds for a fork server to end by itself


class ForkServers:
    """The fork servers of one platform.

    Args:
        limit: How many are warm at once; the one that was used longest ago ends first. 0 for none.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit if sys.platform == "linux" else 0
        self._servers: dict[Key, _ForkServer] = {}

    async def start(self, start: StartCommand, on_line: Callable[[str], None]) -> StartedProgram:
        """Start a replica's program, by a fork where a fork server is warm. Raises OSError."""
        server = self._servers.get(_key(start)) if start.worker_arguments is not None else None
        if server is not None and server.is_ready and not await asyncio.to_thread(_needs_own_layer, start):
            self._servers[_key(start)] = self._servers.pop(_key(start))
            forked = await server.fork(start, on_line)
            if forked is not None:
                return forked
        return await start_process(start, on_line)

    def is_known(self, start: StartCommand) -> bool:
        """Whether there is a fork server for such a replica, warm or not yet."""
        server = self._servers.get(_key(start))
        return server is not None and not server.has_ended

    def is_warm(self, start: StartCommand) -> bool:
        """Whether a fork server has the imports of such a replica."""
        server = self._servers.get(_key(start))
        return server is not None and server.is_ready

    def warm_up(self, start: StartCommand, modules: Path, log_event: Callable[[str], None]) -> None:
        """Start a fork server for more such replicas, unless it runs already.

        Args:
            start: Of a replica that is ready.
            modules: A file with the names of the modules that the app imports.
            log_event: Called with each line of the fork server's log.
        """
        if not self._limit or start.worker_arguments is None or not modules.exists():
            return
        known = self._servers.get(_key(start))
        if known is not None and not known.has_ended:
            return
        while len(self._servers) >= self._limit:
            self._servers.pop(next(iter(self._servers))).end()
        self._servers[_key(start)] = _ForkServer(start, modules, log_event)

    async def close(self) -> None:
        """End all fork servers and wait for them."""
        servers = list(self._servers.values())
        self._servers.clear()
        for server in servers:
            server.end()
        await asyncio.gather(*(server.wait() for server in servers))


class _ForkServer:
    def __init__(self, start: StartCommand, modules: Path, log_event: Callable[[str], None]) -> None:
        self.is_ready = self.has_ended = False
        self._late_forks = 0  # in a row
        self._log_event = log_event
        self._packets, self._server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._packets.setblocking(False)
        self._packets.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._outer_pids: dict[int, int] = {}  # pid in a child's own namespace -> pid here
        self._forks: dict[str, asyncio.Future[int]] = {}
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._ports: dict[int, MovedPorts] = {}  # by session, which is a child's pid
        self._process: Process | None = None
        self._life = asyncio.create_task(self._live(start, modules), name="fork server")

    async def fork(self, start: StartCommand, on_line: Callable[[str], None]) -> StartedProgram | None:
        """Fork a child; returns None if it does not start in time."""
        assert start.worker_arguments is not None, "only a program in the worker is forked"
        loop, id = asyncio.get_running_loop(), start.environment["BANANASTAND_REPLICA"]
        changed = asyncio.Event()
        read, write = os.pipe()
        ours, theirs = socket.socketpair()
        request: dict[str, Any] = {"id": id, "folder": start.folder, "environment": start.environment}
        if _is_sandboxed(start) and start.root is not None:
            request["folder"] = path_inside(start.folder or "/", start.root)
            request["environment"] = environment_inside(start.environment, start.root)
        request |= {"program": start.worker_arguments, "concurrency": start.concurrency}
        self._forks[id] = born = loop.create_future()
        try:
            passed = array.array("i", [write, theirs.fileno()])
            self._packets.sendmsg([json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
            async with asyncio.timeout(FORK_TIMEOUT):
                pid = await born
        except (OSError, TimeoutError):
            os.close(read)
            ours.close()
            self._late_forks += 1
            if self._late_forks >= MAX_LATE_FORKS or self._process is None or is_stopped(self._process.pid):
                self._log_event("fork server ended: it does not answer")
                self.end()
            return None
        finally:
            os.close(write)
            theirs.close()
            self._forks.pop(id, None)
        if start.cgroup is not None:
            start.cgroup.add(pid)
        self._late_forks = 0
        output = await Output.of(read)
        end = self._ends.pop(pid, None)
        if end is None:  # otherwise it has ended already
            self._ends[pid] = end = loop.create_future()
        ports = self._ports.setdefault(pid, MovedPorts(changed.set))
        end.add_done_callback(lambda _: self._ports.pop(pid, None))
        how = "forked from a fork server that has its imports"
        return StartedProgram(Process(pid, end, output, on_line), how, changed, ours, ports)

    def end(self) -> None:
        """Close its socket, at which it ends with its children; kill it if it does not."""
        self.is_ready = False
        self._close()
        if not self._life.done():
            asyncio.get_running_loop().call_later(END_TIMEOUT, self._kill)

    def _kill(self) -> None:
        if self._process is not None and not self._life.done():
            self._process.kill()

    async def wait(self) -> None:
        """Wait for its end."""
        await asyncio.wait({self._life})

    async def _live(self, start: StartCommand, modules: Path) -> None:
        """Start it, read its packets until its end, and record its children as ended then."""
        command = (start.command[0], "-u", str(WORKER), "--fork-server", str(self._server_end.fileno()))
        descriptors, events, theirs, environment = [self._server_end.fileno()], None, None, start.shared_environment
        tmp: str | None = None
        if _is_sandboxed(start) and start.root is not None:
            sandboxed, tmp = await asyncio.to_thread(
                sandbox_start, start, command, "/", environment, visible=[str(modules)]
            )
            command, environment = sandboxed.command, sandboxed.environment
        if start.moves_ports and redirection_problem() is None:
            events, theirs = os.pipe()
            command, descriptors = redirect_command(theirs, command), [*descriptors, theirs]
        try:
            self._process = await spawn(command, "/", environment, self._log_event, pass_fds=descriptors)
            remove_after_exit(self._process, tmp)
        except OSError as error:
            self._log_event(f"fork server cannot be started: {error}")
            self.has_ended = True
            if events is not None:
                os.close(events)
            return
        finally:
            self._server_end.close()
            if theirs is not None:
                os.close(theirs)
        reading = None
        if events is not None:
            reading = await read_bind_events(events, self._add_port)
        loop = asyncio.get_running_loop()
        self._packets.send(json.dumps({"modules": str(modules)}).encode())
        loop.add_reader(self._packets.fileno(), self._handle_packet)
        await self._process.ended()
        self._close()
        if reading is not None:
            reading.cancel()
        self.has_ended, self.is_ready = True, False
        for end in self._ends.values():
            if not end.done():
                end.set_result(-9)

    def _add_port(self, session: int, requested: int, address: str, port: int) -> None:
        self._ports.setdefault(session, MovedPorts(lambda: None)).add(requested, address, port)

    def _handle_packet(self) -> None:
        try:
            raw, passed, _, _ = self._packets.recvmsg(MAX_PACKET, socket.CMSG_SPACE(CREDENTIALS.size))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            raw, passed = b"", []
        if not raw:
            self._close()
            return
        message: dict[str, Any] = json.loads(raw)
        if "ready" in message:
            self.is_ready = True
            self._log_event(f"fork server with the app's imports is warm after {message['ready']:.2f} s")
        elif "refused" in message:
            self._log_event(f"fork server is not used: {message['refused']}")
        elif "id" in message:
            self._outer_pids[message["pid"]] = pid = CREDENTIALS.unpack(passed[0][2])[0]  # the child is the sender
            born = self._forks.get(message["id"])
            if born is not None and not born.done():
                born.set_result(pid)
        elif (pid := self._outer_pids.pop(message["pid"], None)) is not None:
            end = self._ends.pop(pid, None)
            if end is None:  # it ended before the fork was reported
                self._ends[pid] = end = asyncio.get_running_loop().create_future()
            if not end.done():
                end.set_result(message["status"])

    def _close(self) -> None:
        if self._packets.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._packets.fileno())
            self._packets.close()


def _key(start: StartCommand) -> Key:
    """Return what starts must share for one fork server: interpreter, file tree, and shared environment."""
    return start.command[0], start.root, tuple(sorted(start.shared_environment.items()))


def _needs_own_layer(start: StartCommand) -> bool:
    """Whether the app writes files: forks of one server share a file tree, a process has a layer of its own."""
    return _is_sandboxed(start) and start.root is not None and overlay_problem() is None and writes_files(start.root)


def _is_sandboxed(start: StartCommand) -> bool:
    return start.root is not None and sandbox_problem() is None
