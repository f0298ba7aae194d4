"""Starts the servers that are measured, and ends them. Knows nothing of what is sent to them."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Sequence

from ._machine import ROOT

__all__ = ["end", "free_port", "started"]


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(command: Sequence[str], cores: set[int], **environment: str) -> subprocess.Popen[bytes]:
    """A server in a process group of its own, on these cores alone, silent."""
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
    """Its cores, and all the files there are: Potassium's server leaves four open for each request."""
    os.sched_setaffinity(0, cores)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill it and all it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
