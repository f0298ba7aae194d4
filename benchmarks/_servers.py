"""Starts and ends the servers that are measured."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Sequence

import psutil

from ._machine import ROOT

__all__ = ["end", "free_port", "memory", "start"]


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command: Sequence[str], cores: set[int], **environment: str) -> subprocess.Popen[bytes]:
    """Start a silent server in a process group of its own, on these cores alone."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: _prepare(cores),
    )


def _prepare(cores: set[int]) -> None:
    """Set its cores and allow all files: Potassium's server leaves four open for each request."""
    os.sched_setaffinity(0, cores)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a server and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def memory(pid: int) -> float:
    """MB of resident memory of a process and its children."""
    top = psutil.Process(pid)
    return round(sum(process.memory_info().rss for process in [top, *top.children(recursive=True)]) / 2**20, 1)
