"""Starts a replica's program as a process: in the worker, in its sandbox, with its own layer and its ports moved."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ReplicaFailed
from .moved_ports import MovedPorts, read_bind_events, redirect_command, redirection_problem
from .process import Process, spawn
from .sandbox import sandbox_problem
from .sandboxed_start import remove_after_exit, sandbox_start
from .start_command import REPLICA_VARIABLE, StartCommand
from .writable_layer import overlay_command, overlay_problem

__all__ = ["WORKER", "StartedProgram", "start_process", "worker_command"]

NO_NETWORK = (
    "without a network only a Potassium app in the worker can be called, and this one is a server of its own: start "
    "the platform with --network machine"
)
WORKER = Path(__file__).resolve().parents[2] / "worker" / "main.py"


@dataclass(slots=True)
class StartedProgram:
    """A running program.

    Attributes:
        process: The program's process.
        how: How it was started, for the log.
        changed: Set whenever `ports` has news.
        stream: The platform's end of the stream socket to the worker, for a program in the worker.
        ports: The program's listening sockets, where they are moved.
        reading: The task that reads the events of `ports`.
        layer: The folder of its own writes in its file tree, to be removed after it.
        warning: What it lacks of its isolation, for the log.
    """

    process: Process
    how: str
    changed: asyncio.Event
    stream: socket.socket | None = None
    ports: MovedPorts | None = None
    reading: asyncio.Task[None] | None = None
    layer: Path | None = None
    warning: str | None = None


@dataclass(slots=True)
class _Prepared:
    """A command in its sandbox. `tmp` and `layer` are folders to remove after it."""

    command: tuple[str, ...]
    folder: str | None
    environment: Mapping[str, str]
    tmp: str | None = None
    layer: Path | None = None
    warning: str | None = None


async def start_process(start: StartCommand, on_line: Callable[[str], None]) -> StartedProgram:
    """Start a replica's program as a process.

    Args:
        start: What to run.
        on_line: Called with each line that it prints.

    Raises:
        OSError: The program cannot be started.
        ReplicaFailed: The isolation policy does not allow this program.
    """
    policy = start.isolation_policy
    if policy is not None and not policy.network and start.worker_arguments is None:
        raise ReplicaFailed(NO_NETWORK)
    changed = asyncio.Event()
    moves_in_kernel = start.moves_ports and redirection_problem() is None
    ports = MovedPorts(changed.set) if start.moves_ports else None
    descriptors, ours, command = list[int](), None, start.command
    if start.worker_arguments is not None:
        ours, theirs = socket.socketpair()
        descriptors.append(theirs.detach())
        command = worker_command(start, descriptors[0], move=start.moves_ports and not moves_in_kernel)
    prepared = await asyncio.to_thread(_prepare, start, command)
    command = prepared.command
    if start.cgroup is not None:
        command = start.cgroup.wrap_command(command)
    events = None
    if moves_in_kernel:
        events, their_events = os.pipe()
        descriptors.append(their_events)
        command = redirect_command(their_events, command)
    try:
        process = await spawn(command, prepared.folder, prepared.environment, on_line, pass_fds=descriptors)
        remove_after_exit(process, prepared.tmp)
    except OSError:
        if ours is not None:
            ours.close()
        if events is not None:
            os.close(events)
        raise
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    reading = None
    if events is not None and (moved := ports) is not None:
        reading = await read_bind_events(
            events, lambda session, requested, address, port: moved.add(requested, address, port)
        )
    how = "started as a process" if start.engine is None else f"started as a container by {start.engine}"
    return StartedProgram(process, how, changed, ours, ports, reading, prepared.layer, prepared.warning)


def _prepare(start: StartCommand, command: tuple[str, ...]) -> _Prepared:
    """Put a command that has a file tree into its sandbox, with a writable layer of its own where overlayfs works."""
    if start.root is None or sandbox_problem() is not None:
        return _Prepared(command, start.folder, start.environment)
    problem = overlay_problem()
    sandboxed, tmp = sandbox_start(start, command, start.folder or "/", start.environment, own_tmp=problem is not None)
    if problem is None:
        replica = start.environment.get(REPLICA_VARIABLE) or uuid.uuid4().hex
        command, layer = overlay_command(sandboxed.command, start.root, replica)
        return _Prepared(command, "/", sandboxed.environment, tmp, layer)
    warning = f"has no writable layer of its own: overlayfs does not work here ({problem}); replicas share their files"
    return _Prepared(sandboxed.command, "/", sandboxed.environment, tmp, warning=warning)


def worker_command(start: StartCommand, control: int, *, move: bool) -> tuple[str, ...]:
    """Return the command of the worker in the app's own interpreter.

    Args:
        start: What the worker runs.
        control: The file descriptor of its socket.
        move: Whether the worker moves listening sockets itself.
    """
    assert start.worker_arguments is not None, "the command is for a program in the worker"
    options = ["--control", str(control), "--concurrency", str(start.concurrency)]
    if move:
        options += ["--move", "1"]
    return (start.command[0], "-u", str(WORKER), *options, "--", *start.worker_arguments)
