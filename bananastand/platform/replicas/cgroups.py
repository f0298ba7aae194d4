"""Limits a replica's memory and processes by a cgroup, where a part of the cgroup tree is delegated to the platform.

Version 2 only: `Delegate=yes` of a systemd unit, or `systemd-run --user --scope -p Delegate=yes bananastand up`.
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
PLATFORM_LEAF = "platform"  # the leaf that the platform moves to: a cgroup with processes has no children with limits
ENTER = 'echo $$ > "$0" && exec "$@"'


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The cgroup of one replica.

    Attributes:
        folder: Below /sys/fs/cgroup.
        memory_mb: The limit of memory, in MiB; None for no limit.
        processes: The limit of processes and threads; None for no limit.
    """

    folder: Path
    memory_mb: int | None = None
    processes: int | None = None

    def wrap_command(self, command: Sequence[str]) -> tuple[str, ...]:
        """Return a command that enters the cgroup and then becomes `command`."""
        return ("/bin/sh", "-c", ENTER, str(self.folder / "cgroup.procs"), *command)

    def add(self, pid: int) -> None:
        """Move a process into the cgroup, if both still exist."""
        with suppress(OSError):
            (self.folder / "cgroup.procs").write_text(str(pid))

    def exceeded_limit(self) -> str | None:
        """Return the limit that the replica exceeded, in words; None if it exceeded none."""
        if self._count("memory.events", "oom_kill"):
            return f"out of memory: it needed more than {self.memory_mb} MiB (bananastand up --memory allows more)"
        if self._count("pids.events", "max"):
            return f"it wanted more than {self.processes} processes and threads (bananastand up --processes)"
        return None

    def remove(self) -> None:
        """Kill all processes in the cgroup and remove it."""
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
    """The delegated part of the cgroup tree.

    Args:
        base: Its folder; None where none is delegated.
        problem: Why none is delegated; None where it works.
    """

    def __init__(self, base: Path | None, problem: str | None) -> None:
        self._base, self.problem = base, problem

    @classmethod
    def delegated(cls, process: Path = Path("/proc/self")) -> Cgroups:
        """Take over the platform's own cgroup, where that is allowed.

        Args:
            process: The platform's folder in /proc.
        """
        try:
            base = _find_own_cgroup(process)
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
            (base / PLATFORM_LEAF).mkdir(exist_ok=True)
            (base / PLATFORM_LEAF / "cgroup.procs").write_text(str(os.getpid()))
            (base / "cgroup.subtree_control").write_text("".join(f"+{name} " for name in CONTROLLERS).strip())
        except OSError as error:
            return cls(None, f"{base} cannot be used: {error.strerror}")
        return cls(base, None)

    def create(self, replica: str, *, memory_mb: int | None, processes: int | None) -> Cgroup | None:
        """Create the cgroup of a replica; returns None where that is not possible.

        Args:
            replica: The replica's id.
            memory_mb: The limit of memory, in MiB; None for no limit.
            processes: The limit of processes and threads; None for no limit.
        """
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


def _find_own_cgroup(process: Path) -> Path | None:
    """Return the folder of a process's own cgroup; None where there is none of version 2."""
    found = re.search(r"^0::(/.*)$", (process / "cgroup").read_text(), re.MULTILINE)
    mount = re.search(r"^(?:\S+ ){3}(\S+) (\S+) .* - cgroup2 ", (process / "mountinfo").read_text(), re.MULTILINE)
    if found is None or mount is None:
        return None
    root, point = mount[1], mount[2]
    inside = found[1].removeprefix(root.rstrip("/"))
    return Path(f"{point}{inside}")
