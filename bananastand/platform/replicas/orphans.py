"""Ends processes and containers that a killed platform, or a replica that has ended, left running.

Everything that a platform starts carries the id of its data directory in its environment. Two platforms never share a
data directory, so whatever carries the id when one starts is an orphan.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from .process import with_descendants
from .reaper import end_reapers, remove_containers
from .start_command import PLATFORM_VARIABLE, REPLICA_VARIABLE, StartCommand

__all__ = ["end_orphans", "end_stragglers", "find_orphans"]

KILL_TIMEOUT = 5.0  # seconds for killed processes to be gone


def end_orphans(platform: str) -> list[str]:
    """Kill what a killed platform left running; blocks for milliseconds, or seconds where an engine is slow.

    Args:
        platform: The id of the data directory.

    Returns:
        What was ended, a sentence each.
    """
    end_reapers(f"{PLATFORM_VARIABLE}={platform}")
    reports, killed = list[str](), set[int]()
    left = {pid for orphan in find_orphans(platform) for pid in with_descendants(orphan)}
    for pid in left:
        with suppress(ProcessLookupError, PermissionError):
            group = os.getpgid(pid)
            if group != os.getpgid(0):
                os.killpg(group, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    if killed:
        reports.append(f"ended {len(killed)} processes that a killed supervisor had left")
        deadline = time.monotonic() + KILL_TIMEOUT
        while time.monotonic() < deadline and killed & set(find_orphans(platform)):
            time.sleep(0.01)
    return [*reports, *remove_containers(platform)]


def end_stragglers(command: StartCommand) -> None:
    """Kill what a replica that has ended left running outside of its process group; blocks for milliseconds."""
    if command.cgroup is not None:
        command.cgroup.remove()
    elif command.isolation_policy is None or command.root is None:
        for pid in _find_by_variable(REPLICA_VARIABLE, command.environment.get(REPLICA_VARIABLE)):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def find_orphans(platform: str) -> Iterator[int]:
    """Yield the ids of the processes that a platform has started, except this one."""
    return _find_by_variable(PLATFORM_VARIABLE, platform)


def _find_by_variable(name: str, value: str | None) -> Iterator[int]:
    """Yield the ids of other processes that have a value in their environment."""
    if value is None:
        return
    mark = os.fsencode(f"{name}={value}")
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # it has ended, or is another user's
            if process.pid != os.getpid() and mark in _environment(process):
                yield process.pid


def _environment(process: psutil.Process) -> list[bytes]:
    """Return NAME=VALUE of each variable. A program that sets its title leaves gaps, at which psutil stops to read."""
    if sys.platform == "linux":
        return Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    return [os.fsencode(f"{name}={value}") for name, value in process.environ().items()]
