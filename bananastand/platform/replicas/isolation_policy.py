"""The isolation policy of a sandboxed program: which paths, devices and processes it can see, and its limits.

The policy is expressed as bubblewrap arguments.
"""

from __future__ import annotations

import functools
import glob
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ..environment import inherited
from .bind_mounts import Mount

__all__ = ["IsolationPolicy", "user_paths"]

# Graphics and AI devices: NVIDIA's, AMD's, Intel's, those of WSL, and fast networks between them.
DEVICES = ("nvidia*", "dri", "kfd", "accel", "dxg", "infiniband", "nvidia-caps")
# What root has in an image's RUN lines: nothing that reaches beyond the mounted files.
BUILD_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID", "KILL")
# Files of /etc that only root may read: a sandbox that root starts is still root to them.
PRIVATE = ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d",
           "/etc/ssh", "/etc/ssl/private", "/etc/krb5.keytab", "/etc/wireguard")  # fmt: skip
# Root may write below /proc without any capability. Container engines close the same paths.
READ_ONLY = ("/proc/sys", "/proc/fs")
MASKED = (
    "/proc/sysrq-trigger",
    "/proc/acpi",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/kernel/debug",
    "/sys/kernel/tracing",
)
HIDDEN_VARIABLES = (
    "HOME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
)
# The parts of an installation, where its folder holds other files of the user too.
INSTALLED = ("bin", "shims", "lib", "lib64", "libexec", "include", "versions", "version", "plugins", "toolchains")


@dataclass(frozen=True, slots=True)
class IsolationPolicy:
    """What a program can see and do.

    Attributes:
        data: The data directory, of which only named folders are visible.
        builds: Whether the program is a build's step, which may write to the shared caches.
        caches: Folders of weights that all projects share; replicas may read them.
        named: Paths that the user named for this app (`deploy --env`), visible and writable.
        user: Paths in the platform's own variables, visible.
        network: Whether the program has the machine's network.
        processes: The limit of processes and threads, where the kernel counts them by sandbox; None for no limit.
        tmp: The folder that is the program's /tmp; None for the build's own.
    """

    data: str
    is_for_builds: bool = False
    caches: tuple[str, ...] = ()
    named_paths: tuple[str, ...] = ()
    user_paths: frozenset[str] = frozenset()
    network: bool = True
    processes: int | None = None
    tmp: str | None = None

    def for_builds(self) -> IsolationPolicy:
        """Return the policy of a build's step, which may fetch what it needs."""
        return replace(self, is_for_builds=True, network=True, tmp=None)

    def allows_reading(self, path: str, root: str) -> bool:
        """Whether a path in a variable may be visible.

        These may: what the build made, an environment of packages, a cache of weights, and what the user named.

        Args:
            path: On this machine.
            root: The build's file tree.
        """
        real, own = os.path.realpath(path), os.path.dirname(os.path.dirname(root))
        if path in self.named_paths or any(_is_below(real, folder) for folder in (own, *self.caches)):
            return True
        if _is_below(real, f"{self.data}/cache/environments"):
            return True
        return not _is_below(real, self.data) and path in self.user_paths

    def allows_writing(self, path: str, root: str) -> bool:
        """Whether a visible path may be written."""
        real = os.path.realpath(path)
        if any(_is_below(real, cache) for cache in self.caches):
            return self.is_for_builds
        return path in self.named_paths or _is_below(real, os.path.dirname(os.path.dirname(root)))

    def allows_installation(self, prefix: str) -> bool:
        """Whether a folder is the installation of an interpreter, rather than another folder of the user."""
        return _is_below(os.path.realpath(prefix), f"{self.data}/cache/environments") or _looks_installed(prefix)

    def program_folders(self, folder: str, home: str) -> set[str]:
        """Return a folder of programs, or only its parts of an installation where it holds other files of the user.

        Args:
            folder: The folder.
            home: The user's home.
        """
        holds_more = any(_is_below(path, folder) for path in (self.data, home))
        if not holds_more and os.path.dirname(folder) != home:
            return {folder}
        return {f"{folder}/{name}" for name in INSTALLED if os.path.lexists(f"{folder}/{name}")}

    def bwrap_arguments(self, mounts: Sequence[Mount], root: str) -> list[str]:
        """Return bwrap's arguments for everything but the mounts, to be placed after them."""
        arguments = ["--unshare-pid", "--unshare-ipc", "--unshare-cgroup-try", "--die-with-parent", "--cap-drop", "ALL"]
        if self.is_for_builds and os.geteuid() == 0:
            arguments += [part for name in BUILD_CAPABILITIES for part in ("--cap-add", f"CAP_{name}")]
        if not self.network:
            arguments.append("--unshare-net")
        _make_devices()
        arguments += ["--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm"]
        for device in sorted({path for name in DEVICES for path in glob.glob(f"/dev/{name}")}):
            arguments += ["--dev-bind", device, device]
        arguments += ["--proc", "/proc", "--ro-bind", "/sys", "/sys"]
        if os.geteuid() == 0:
            arguments += [part for path in READ_ONLY if os.path.exists(path) for part in ("--ro-bind", path, path)]
            arguments += [part for path in MASKED if os.path.exists(path) for part in _mask(path)]
            arguments += [part for path in PRIVATE for part in _mask_machine_file(path, mounts, root)]
        return arguments

    def cover_data_directory(self, mounts: Sequence[Mount]) -> Iterator[Mount]:
        """Yield the mounts in order, with an empty folder over the data directory wherever one of them shows it."""
        covered = False
        for mount in sorted(mounts, key=lambda mount: mount.target.count("/")):
            if not covered and _is_below(mount.target, self.data) and mount.target != self.data:
                covered = True
                yield from self._covers(mounts)
            yield mount
        if not covered:
            yield from self._covers(mounts)

    def process_limit_command(self) -> tuple[str, ...]:
        """Return the arguments before a sandboxed command that limit its processes; root is not bound by the limit."""
        if self.processes is None or os.geteuid() == 0:
            return ()
        return ("prlimit", f"--nproc={self.processes}", "--")

    def _covers(self, mounts: Sequence[Mount]) -> Iterator[Mount]:
        for mount in mounts:
            source = os.path.realpath(mount.source)
            if mount.kind != "link" and _is_below(self.data, source) and not _is_below(source, self.data):
                yield Mount("", f"{mount.target.rstrip('/')}{self.data[len(source.rstrip('/')) :]}", "empty")
            elif mount.kind != "link" and source == self.data:
                yield Mount("", mount.target, "empty")


def _looks_installed(prefix: str) -> bool:
    """Whether a folder is an installation of Python or of node."""
    programs = glob.glob(f"{glob.escape(prefix)}/bin/python3*") + glob.glob(f"{glob.escape(prefix)}/bin/node")
    return bool(programs) or os.path.isfile(f"{prefix}/pyvenv.cfg")


@functools.cache
def _make_devices() -> None:
    """Make CUDA's device, which CUDA makes at its first use with a setuid program that has no effect in a sandbox."""
    program = shutil.which("nvidia-modprobe")
    if program is not None and glob.glob("/dev/nvidia[0-9]*") and not os.path.exists("/dev/nvidia-uvm"):
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run([program, "-u", "-c=0"], capture_output=True, timeout=20, check=False)


def _mask_machine_file(path: str, mounts: Sequence[Mount], root: str) -> list[str]:
    if os.path.lexists(f"{root}{path}") and os.path.getsize(f"{root}{path}"):
        return []  # the build's own
    if not any(_is_below(path, mount.target) for mount in mounts if mount.kind == "read") or not os.path.exists(path):
        return []
    return _mask(path)


def _mask(path: str) -> list[str]:
    return ["--tmpfs", path] if os.path.isdir(path) else ["--ro-bind", "/dev/null", path]


def user_paths() -> frozenset[str]:
    """Return the paths in the variables that programs inherit from the platform, except its home and its sockets."""
    values = (value for name, value in inherited(os.environ, "PIP_", "UV_").items() if name not in HIDDEN_VARIABLES)
    return frozenset(part for value in values for part in value.split(":") if part.startswith("/"))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
