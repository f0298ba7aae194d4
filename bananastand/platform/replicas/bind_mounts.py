"""Bind mounts of this machine's files in a build's file tree, so that programs run with the tree as their root.

A system folder without files of the build is the machine's, read-only. Where the build has files in one, the two are
merged, and the build's files win. All other folders (/root, /home, /tmp, /var) are the build's, and what an app writes
there stays with the build.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

__all__ = [
    "SYSTEM",
    "Mount",
    "path_inside",
    "is_placeholder",
    "system_mounts",
    "create_mount_points",
    "create_tmp_mount_points",
]

SYSTEM = ("usr", "etc", "opt", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu", "snap")
ALWAYS_WRITABLE = ("opt",)  # apps write there
RUN = ("run/systemd/resolve", "run/nvidia-persistenced", "run/nvidia-fabricmanager", "run/nscd", "run/resolvconf")
BUILD_FOLDERS = ("tmp", "root", "home", "var/tmp", "var/log", "var/cache", "var/lib", "run", "mnt", "srv", "media")
# What /bin must have, even where the build has files of its own in it.
SHELLS = ("sh", "bash", "env")
# More entries than this are symbolic links: for each mount, bwrap looks at all others.
MAX_MOUNTS = 250
MACHINE = "/.machine"  # the machine's folders whose entries are linked


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of this machine at a path of the tree.

    Attributes:
        source: On this machine.
        target: In the tree.
        kind: How it is mounted; "link" for a symbolic link to `source`, "empty" for an empty folder.
    """

    source: str
    target: str
    kind: Literal["read", "write", "device", "link", "empty"] = "read"

    def bwrap_arguments(self) -> tuple[str, ...]:
        """Return bwrap's arguments; none for a link, which `create_mount_points` makes beforehand."""
        if self.kind == "link":
            return ()
        if self.kind == "empty":
            return ("--perms", "0700", "--tmpfs", self.target)
        option = {"read": "--ro-bind", "write": "--bind", "device": "--dev-bind"}[self.kind]
        return (option, self.source, self.target)


def path_inside(path: str, root: str) -> str:
    """Return a path as it is in the image: without the root, if it begins with it."""
    if path == root or path.startswith(f"{root}/"):
        return path[len(root) :] or "/"
    return path


def system_mounts(root: str, writable: Sequence[str] = (), *, devices: bool = True) -> list[Mount]:
    """Return the mounts of the machine's system folders, devices and processes.

    Args:
        root: The build's file tree.
        writable: Paths of the image that a program is about to write.
        devices: Whether /dev, /proc and /sys are the machine's.
    """
    found, writable_folders = list[Mount](), set[str](ALWAYS_WRITABLE)
    for path in writable:
        parts = os.path.normpath(path).strip("/").split("/")
        writable_folders |= {"/".join(parts[: count + 1]) for count in range(len(parts))}
    for name in SYSTEM:
        found += _merged(name, root, writable_folders)
    for name in RUN:
        if os.path.isdir(f"/{name}"):
            found.append(Mount(f"/{name}", f"/{name}"))
    return [*found, *(Mount(path, path, "device") for path in ("/dev", "/proc", "/sys") if devices)]


def _merged(name: str, root: str, writable: set[str]) -> Iterator[Mount]:
    machine, own = f"/{name}", f"{root}/{name}"
    if not os.path.lexists(machine):
        return
    if os.path.islink(machine):
        yield from _linked(machine, own)
    elif (name not in writable or not os.path.isdir(machine)) and is_placeholder(own, machine):
        yield Mount(machine, machine)
    elif os.path.isdir(machine) and (not os.path.lexists(own) or (os.path.isdir(own) and not os.path.islink(own))):
        names = sorted(os.listdir(machine))
        if len(names) > MAX_MOUNTS:
            yield Mount(machine, f"{MACHINE}{machine}")
            missing = (entry for entry in names if not os.path.lexists(f"{own}/{entry}"))
            yield from (Mount(f"{MACHINE}{machine}/{entry}", f"{machine}/{entry}", "link") for entry in missing)
            return
        for entry in names:
            yield from _merged(f"{name}/{entry}", root, writable)


def _linked(machine: str, own: str) -> Iterator[Mount]:
    """Yield the mounts of a system folder that is a link, as /bin; of shells, where the build has such a folder."""
    if not os.path.lexists(own):
        yield Mount(os.readlink(machine), machine, "link")
    elif os.path.isdir(own) and not os.path.islink(own):
        for name in SHELLS:
            if os.path.exists(f"{machine}/{name}") and is_placeholder(f"{own}/{name}", f"{machine}/{name}"):
                yield Mount(os.path.realpath(f"{machine}/{name}"), f"{machine}/{name}")


def is_placeholder(own: str, machine: str) -> bool:
    """Whether the build has no content of its own at a path: an empty file, or folders that the machine has too."""
    try:
        about = os.lstat(own)
    except OSError:
        return True
    if stat.S_ISREG(about.st_mode):
        return about.st_size == 0 and os.path.isfile(machine)
    if stat.S_ISLNK(about.st_mode):
        target = os.readlink(own)
        return target.startswith(f"{MACHINE}/") or (os.path.islink(machine) and os.readlink(machine) == target)
    if not stat.S_ISDIR(about.st_mode) or not os.path.isdir(machine):
        return False
    return all(is_placeholder(f"{own}/{entry}", f"{machine}/{entry}") for entry in os.listdir(own))


def create_mount_points(root: str, mounts: Sequence[Mount]) -> None:
    """Create the tree's usual folders, and an empty file, folder or link for each mount."""
    for name in BUILD_FOLDERS:
        os.makedirs(f"{root}/{name}", exist_ok=True)
    with suppress(OSError):
        os.chmod(f"{root}/tmp", 0o700)  # all that runs in it is one user's
    _create_mount_points(root, mounts)


def create_tmp_mount_points(folder: str, mounts: Sequence[Mount]) -> None:
    """Create the mount points below /tmp in a folder that will be mounted there."""
    below = [replace(mount, target=mount.target[len("/tmp") :]) for mount in mounts if mount.target.startswith("/tmp/")]
    _create_mount_points(folder, below)


def _create_mount_points(root: str, mounts: Sequence[Mount]) -> None:
    for mount in mounts:
        place = f"{root}{mount.target}"
        if os.path.lexists(place):
            continue
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if mount.kind == "link":
            with suppress(FileExistsError):
                os.symlink(mount.source, place)
        elif mount.kind == "empty" or os.path.isdir(mount.source):
            os.makedirs(place, exist_ok=True)
        else:
            with suppress(FileExistsError), open(place, "x"):
                pass
