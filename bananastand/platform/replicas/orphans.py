"""Ends what a killed supervisor left running. Knows the mark in the environment, and engines' labels.

All that a stand starts carries the id of its data directory in its environment. Where two supervisors never share a
directory, whatever carries the id when one starts is an orphan.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .start_command import PLATFORM_VARIABLE, REPLICA_VARIABLE, StartCommand

__all__ = ["end_stragglers", "end_orphans", "find_orphans"]

PATIENCE = 5.0  # seconds for the killed to be gone
ENGINES = ("docker", "podman")


def end_orphans(stand: str) -> list[str]:
    """Kill them; what was ended, in words. Blocks for some milliseconds, for seconds where an engine is slow."""
    ended, killed = list[str](), set[int]()
    for pid in find_orphans(stand):
        with suppress(ProcessLookupError, PermissionError):
            group = os.getpgid(pid)
            if group != os.getpgid(0):
                os.killpg(group, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    if killed:
        ended.append(f"ended {len(killed)} processes that a killed supervisor had left")
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and killed & set(find_orphans(stand)):
            time.sleep(0.01)
    return [*ended, *_containers(stand)]


def end_stragglers(start: StartCommand) -> None:
    """End what a replica that has ended left running outside of its process group; blocks for milliseconds."""
    if start.cgroup is not None:
        start.cgroup.remove()
    elif start.isolation_policy is None or start.root is None:
        for pid in _carrying(f"{REPLICA_VARIABLE}={start.environment.get(REPLICA_VARIABLE)}"):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def find_orphans(stand: str) -> Iterator[int]:
    """The processes that carry the mark, our own apart."""
    if not Path("/proc/self/environ").exists():
        yield from _listed(stand)
        return
    yield from _carrying(f"{PLATFORM_VARIABLE}={stand}")


def _carrying(mark: str) -> Iterator[int]:
    wanted = mark.encode()
    for folder in Path("/proc").iterdir() if Path("/proc/self/environ").exists() else ():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)


def _listed(stand: str) -> Iterator[int]:
    """The same where there is no /proc: ps shows the environment of our own processes."""
    done = subprocess.run(["ps", "-axEww", "-o", "pid=,command="], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        if f"{PLATFORM_VARIABLE}={stand}" in command.split() and int(pid) != os.getpid():
            yield int(pid)


def _containers(stand: str) -> list[str]:
    """Containers live on beside their client; those of buildah are processes, and only their file systems are left."""
    ended = list[str]()
    for engine in filter(shutil.which, ENGINES):
        with suppress(OSError, subprocess.TimeoutExpired):
            found = _said(engine, "ps", "--all", "--quiet", "--filter", f"label=bananastand={stand}").split()
            if found:
                _said(engine, "rm", "--force", *found)
                ended.append(f"removed {len(found)} containers of {engine} that a killed supervisor had left")
    return ended


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
