"""Starts the program of a replica: under the worker where it may be a Potassium app, with its ports moved where that
works, forked where a fork server has its imports."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import ReplicaFailed
from .moved_ports import MovedPorts, read_bind_events, redirect_command, redirection_problem
from .process import Process, spawn
from .sandbox import sandbox_problem
from .sandboxed_start import remove_after_exit, sandbox_start
from .start_command import REPLICA_VARIABLE, StartCommand
from .worker_client import WorkerClient
from .writable_layer import overlay_command, overlay_problem

__all__ = ["WORKER", "StartedProgram", "start_process", "worker_command"]

NO_NETWORK = (
    "without a network only a Potassium app in the worker can be called, and this one is a server of its own: start "
    "the platform with --network machine"
)
WORKER = Path(__file__).resolve().parents[2] / "worker" / "main.py"


@dataclass(slots=True)
class StartedProgram:
    """A program that runs.

    how: in words, for the log. worker: its client, where the worker runs it. ports: its listening sockets, where they
    are moved. changed: set when either has news.
    """

    process: Process
    how: str
    changed: asyncio.Event
    worker: WorkerClient | None = None
    ports: MovedPorts | None = None
    reading: asyncio.Task[None] | None = None  # of what is reported of the ports
    layer: Path | None = None  # what it writes in its file tree, where that is its own


async def start_process(start: StartCommand, on_line: Callable[[str], None]) -> StartedProgram:
    """Start a replica's program as a process. Raises OSError."""
    if start.isolation_policy is not None and not start.isolation_policy.network and start.worker_arguments is None:
        raise ReplicaFailed(NO_NETWORK)
    changed = asyncio.Event()
    moves = start.moves_ports and redirection_problem() is None
    ports = MovedPorts(changed.set) if start.moves_ports else None
    descriptors, ours, worker, command = list[int](), None, None, start.command
    layer: Path | None = None
    if start.worker_arguments is not None:
        ours, theirs = socket.socketpair()
        descriptors.append(theirs.detach())
        worker = WorkerClient()
        worker.changed = changed
        worker.on_bound = ports.add if ports is not None else None
        command = worker_command(start, descriptors[0], move=start.moves_ports and not moves)
    folder, environment, tmp = start.folder, start.environment, None
    if start.root is not None and sandbox_problem() is None:
        made, tmp = await asyncio.to_thread(
            sandbox_start, start, command, folder or "/", environment, own_tmp=overlay_problem() is not None
        )
        command, environment, folder = made.command, made.environment, "/"
        if overlay_problem() is None:
            replica = start.environment.get(REPLICA_VARIABLE) or uuid.uuid4().hex
            command, layer = await asyncio.to_thread(overlay_command, command, start.root, replica)
    if start.cgroup is not None:
        command = start.cgroup.wrap_command(command)
    events = None
    if moves:
        events, theirs_events = os.pipe()
        descriptors.append(theirs_events)
        command = redirect_command(theirs_events, command)
    try:
        process = await spawn(command, folder, environment, on_line, pass_fds=descriptors)
        remove_after_exit(process, tmp)
    except OSError:
        if ours is not None:
            ours.close()
        if events is not None:
            os.close(events)
        raise
    finally:
        for each in descriptors:
            os.close(each)
    reading = None
    if events is not None and (moved := ports) is not None:
        reading = await read_bind_events(events, lambda session, asked, address, port: moved.add(asked, address, port))
    if worker is not None and ours is not None:
        await worker.attach(ours)
    how = "started as a process" if start.engine is None else f"started as a container by {start.engine}"
    return StartedProgram(process, how, changed, worker, ports, reading, layer)


def worker_command(start: StartCommand, control: int, *, move: bool) -> tuple[str, ...]:
    """The worker in the app's own interpreter."""
    assert start.worker_arguments is not None, "only what the worker runs has words"
    options = ["--control", str(control), "--concurrency", str(start.concurrency)]
    if move:
        options += ["--move", "1"]
    return (start.command[0], "-u", str(WORKER), *options, "--", *start.worker_arguments)
