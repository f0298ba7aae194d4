"""Bounds a replica's memory and processes by a cgroup of its own, where a part of the cgroup tree is delegated to us.

Version 2 alone: `Delegate=yes` of a systemd unit, or `systemd-run --user --scope -p Delegate=yes bananastand up`.
Source: the kernel's cgroup-v2.rst, "Delegation" and "No Internal Process Constraint".
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cgroup", "Cgroups"]

CONTROLLERS = ("memory", "pids")
OURS = "platform"  # the leaf that the platform moves to: a cgroup with processes has no children with limits
ENTER = 'echo $$ > "$0" && exec "$@"'


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The cgroup of one replica."""

    folder: Path
    memory_mb: int | None = None
    processes: int | None = None

    def wrap_command(self, command: Sequence[str]) -> tuple[str, ...]:
        """The command, which enters the cgroup before it begins."""
        return ("/bin/sh", "-c", ENTER, str(self.folder / "cgroup.procs"), *command)

    def add(self, pid: int) -> None:
        """Move a process into it, if it is there still."""
        with suppress(OSError):
            (self.folder / "cgroup.procs").write_text(str(pid))

    def exceeded_limit(self) -> str | None:
        """Which limit has ended it, in words; None for none."""
        if self._count("memory.events", "oom_kill"):
            return f"out of memory: it needed more than {self.memory_mb} MiB (bananastand up --memory allows more)"
        if self._count("pids.events", "max"):
            return f"it wanted more than {self.processes} processes and threads (bananastand up --processes)"
        return None

    def remove(self) -> None:
        """End what is left in it, whatever session it is in, and remove it."""
        with suppress(OSError):
            (self.folder / "cgroup.kill").write_text("1")
        with suppress(OSError):
            self.folder.rmdir()

    def _count(self, file: str, name: str) -> int:
        with suppress(OSError, ValueError):
            for line in (self.folder / file).read_text().splitlines():
                if line.startswith(f"{name} "):
                    return int(line.split()[1])
        return 0


class Cgroups:
    """The delegated part of the tree. `problem` says why there is none; None where it works."""

    def __init__(self, base: Path | None, problem: str | None) -> None:
        self._base, self.problem = base, problem

    @classmethod
    def delegated(cls, process: Path = Path("/proc/self")) -> Cgroups:
        """Find the platform's own cgroup and take it over, where that is allowed. process: its folder in /proc."""
        try:
            base = _own(process)
        except OSError as error:
            return cls(None, f"no cgroups: {error.strerror}")
        if base is None:
            return cls(None, "no cgroup of version 2")
        try:
            missing = set(CONTROLLERS) - set((base / "cgroup.controllers").read_text().split())
            if missing:
                return cls(None, f"no controller for {' and '.join(sorted(missing))} in {base}")
            if not os.access(base / "cgroup.subtree_control", os.W_OK):
                return cls(None, f"{base} is not delegated")
            (base / OURS).mkdir(exist_ok=True)
            (base / OURS / "cgroup.procs").write_text(str(os.getpid()))
            (base / "cgroup.subtree_control").write_text("".join(f"+{name} " for name in CONTROLLERS).strip())
        except OSError as error:
            return cls(None, f"{base} cannot be used: {error.strerror}")
        return cls(base, None)

    def create(self, replica: str, *, memory_mb: int | None, processes: int | None) -> Cgroup | None:
        """A cgroup for a replica, with its limits; None where there are none to be had."""
        if self._base is None:
            return None
        group = Cgroup(self._base / f"replica-{replica}", memory_mb, processes)
        limits = {"memory.oom.group": "1", "pids.max": "max" if processes is None else str(processes)}
        if memory_mb is not None:
            limits |= {"memory.max": str(memory_mb * 2**20), "memory.swap.max": "0"}
        try:
            group.folder.mkdir()
            for name, value in limits.items():
                if name != "memory.swap.max" or (group.folder / name).exists():
                    (group.folder / name).write_text(value)
        except OSError:
            group.remove()
            return None
        return group


def _own(process: Path) -> Path | None:
    """The folder of the process's own cgroup."""
    found = re.search(r"^0::(/.*)$", (process / "cgroup").read_text(), re.MULTILINE)
    mount = re.search(r"^(?:\S+ ){3}(\S+) (\S+) .* - cgroup2 ", (process / "mountinfo").read_text(), re.MULTILINE)
    if found is None or mount is None:
        return None
    root, point = mount[1], mount[2]
    inside = found[1].removeprefix(root.rstrip("/"))
    return Path(f"{point}{inside}")
