"""What a sandboxed program is kept from: other processes, devices, the data directory, files that nobody named for it.

Knows bubblewrap's words and this machine's paths; starts nothing.
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
# As root in an image's RUN lines; nothing that reaches beyond the files that are mounted.
BUILD_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID", "KILL")
# Of the machine's /etc, what root alone may read: a sandbox of root's is still root to these files.
PRIVATE = ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d",
           "/etc/ssh", "/etc/ssl/private", "/etc/krb5.keytab", "/etc/wireguard")  # fmt: skip
# Root owns what is below /proc without any capability; container engines close the same.
READ_ONLY = ("/proc/sys", "/proc/fs")
MASKED = (
    "/proc/sysrq-trigger",
    "/proc/acpi",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/kernel/debug",
    "/sys/kernel/tracing",
)
NOT_SEEN = ("HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
# What a folder of programs needs beside it, where the folder above holds other things of the user's too.
INSTALLED = ("bin", "shims", "lib", "lib64", "libexec", "include", "versions", "version", "plugins", "toolchains")


@dataclass(frozen=True, slots=True)
class IsolationPolicy:
    """How far a program is kept apart.

    Attributes:
        data: The data directory, of which only named folders are in sight.
        builds: Whether a build's step runs, which writes to the shared cache of weights, and not a replica.
        caches: Folders of weights that all projects share: replicas read them.
        named: Paths that the user named for this app (`deploy --env`), in sight and writable.
        user: Paths in the platform's own variables, in sight.
        network: Whether the machine's network is there.
        processes: The most processes and threads, where the kernel counts them for each sandbox; None for no limit.
        tmp: A folder that is /tmp of this program alone; None for the build's own.
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
        """The same for a step of a build, which may fetch what it needs."""
        return replace(self, is_for_builds=True, network=True, tmp=None)

    def allows_reading(self, path: str, root: str) -> bool:
        """Whether a path that a variable names may be in sight.

        That is what the build made, an environment of packages, a cache of weights, and what the user named.
        """
        real, own = os.path.realpath(path), os.path.dirname(os.path.dirname(root))
        if path in self.named_paths or any(_is_below(real, each) for each in (own, *self.caches)):
            return True
        if _is_below(real, f"{self.data}/cache/environments"):
            return True
        return not _is_below(real, self.data) and path in self.user_paths

    def allows_writing(self, path: str, root: str) -> bool:
        """Whether a path in sight may be written."""
        real = os.path.realpath(path)
        if any(_is_below(real, each) for each in self.caches):
            return self.is_for_builds
        return path in self.named_paths or _is_below(real, os.path.dirname(os.path.dirname(root)))

    def allows_installation(self, prefix: str) -> bool:
        """Whether a folder that an interpreter leads to is an installation, and no other folder of the user's."""
        return _is_below(os.path.realpath(prefix), f"{self.data}/cache/environments") or _looks_installed(prefix)

    def program_folders(self, folder: str, home: str) -> set[str]:
        """A folder of programs, or only what of it programs need, where it holds other things of the user's."""
        broad = any(_is_below(each, folder) for each in (self.data, home))
        if not broad and os.path.dirname(folder) != home:
            return {folder}
        return {f"{folder}/{name}" for name in INSTALLED if os.path.lexists(f"{folder}/{name}")}

    def bwrap_arguments(self, mounts: Sequence[Mount], root: str) -> list[str]:
        """bwrap's words for all but the mounts themselves, to stand behind them."""
        words = ["--unshare-pid", "--unshare-ipc", "--unshare-cgroup-try", "--die-with-parent", "--cap-drop", "ALL"]
        if self.is_for_builds and os.geteuid() == 0:
            words += [word for name in BUILD_CAPABILITIES for word in ("--cap-add", f"CAP_{name}")]
        if not self.network:
            words.append("--unshare-net")
        _make_devices()
        words += ["--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm"]
        for device in sorted({path for name in DEVICES for path in glob.glob(f"/dev/{name}")}):
            words += ["--dev-bind", device, device]
        words += ["--proc", "/proc", "--ro-bind", "/sys", "/sys"]
        if os.geteuid() == 0:
            words += [word for path in READ_ONLY if os.path.exists(path) for word in ("--ro-bind", path, path)]
            words += [word for path in MASKED if os.path.exists(path) for word in _empty(path)]
            words += [word for path in PRIVATE for word in _hide(path, mounts, root)]
        return words

    def cover_data_directory(self, mounts: Sequence[Mount]) -> Iterator[Mount]:
        """The mounts in their order, with an empty folder over the data directory wherever one of them shows it."""
        covered = False
        for mount in sorted(mounts, key=lambda each: each.target.count("/")):
            if not covered and _is_below(mount.target, self.data) and mount.target != self.data:
                covered = True
                yield from self._covers(mounts)
            yield mount
        if not covered:
            yield from self._covers(mounts)

    def process_limit_command(self) -> tuple[str, ...]:
        """Words before a command that is inside: how many processes there may be. root is not bound by it."""
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
    """CUDA makes its own device at its first use, by a program that gains nothing inside of a sandbox."""
    program = shutil.which("nvidia-modprobe")
    if program is not None and glob.glob("/dev/nvidia[0-9]*") and not os.path.exists("/dev/nvidia-uvm"):
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run([program, "-u", "-c=0"], capture_output=True, timeout=20, check=False)


def _hide(path: str, mounts: Sequence[Mount], root: str) -> list[str]:
    if os.path.lexists(f"{root}{path}") and os.path.getsize(f"{root}{path}"):
        return []  # the build's own
    if not any(_is_below(path, mount.target) for mount in mounts if mount.kind == "read") or not os.path.exists(path):
        return []
    return _empty(path)


def _empty(path: str) -> list[str]:
    return ["--tmpfs", path] if os.path.isdir(path) else ["--ro-bind", "/dev/null", path]


def user_paths() -> frozenset[str]:
    """The paths in the variables that the platform's own process hands on, but for its home and its sockets."""
    values = (value for name, value in inherited(os.environ, "PIP_", "UV_").items() if name not in NOT_SEEN)
    return frozenset(part for value in values for part in value.split(":") if part.startswith("/"))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
