"""Which files of this machine are mounted into a build's file tree, so that programs run with the tree as their root.

System folders that the build left alone are the machine's, read-only. Where the build has files of its own in one, the
two are merged: the build's win. /root, /home, /tmp, /var and every other folder are the build's alone, so that what an
app writes there is kept with the build.
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
ALWAYS = ("opt",)  # apps write there
RUN = ("run/systemd/resolve", "run/nvidia-persistenced", "run/nvidia-fabricmanager", "run/nscd", "run/resolvconf")
OWN = ("tmp", "root", "home", "var/tmp", "var/log", "var/cache", "var/lib", "run", "mnt", "srv", "media")
# What an image's /bin must have even where the build put files of its own there.
SHELLS = ("sh", "bash", "env")
# More entries than this are linked, not mounted: each mount costs bwrap a look at all others.
MOST_MOUNTS = 250
MACHINE = "/.machine"  # the machine's folders whose entries are linked


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of this machine at a path of the tree.

    "link": a symbolic link to `source` instead; "empty": an empty folder in its place.
    """

    source: str
    target: str
    kind: Literal["read", "write", "device", "link", "empty"] = "read"

    def bwrap_arguments(self) -> tuple[str, ...]:
        """For bwrap. Links are made beforehand, by `prepare`."""
        if self.kind == "link":
            return ()
        if self.kind == "empty":
            return ("--perms", "0700", "--tmpfs", self.target)
        option = {"read": "--ro-bind", "write": "--bind", "device": "--dev-bind"}[self.kind]
        return (option, self.source, self.target)


def path_inside(path: str, root: str) -> str:
    """A path as it is in the image: without the root, if it begins with it."""
    if path == root or path.startswith(f"{root}/"):
        return path[len(root) :] or "/"
    return path


def system_mounts(root: str, writable: Sequence[str] = (), *, devices: bool = True) -> list[Mount]:
    """The machine's system folders, and its devices and processes.

    writable: paths of the image that a program is about to write. devices: whether /dev, /proc and /sys are the
    machine's.
    """
    found, opened = list[Mount](), set[str](ALWAYS)
    for path in writable:
        parts = os.path.normpath(path).strip("/").split("/")
        opened |= {"/".join(parts[: count + 1]) for count in range(len(parts))}
    for name in SYSTEM:
        found += _merged(name, root, opened)
    for name in RUN:
        if os.path.isdir(f"/{name}"):
            found.append(Mount(f"/{name}", f"/{name}"))
    return [*found, *(Mount(each, each, "device") for each in ("/dev", "/proc", "/sys") if devices)]


def _merged(name: str, root: str, opened: set[str]) -> Iterator[Mount]:
    machine, own = f"/{name}", f"{root}/{name}"
    if not os.path.lexists(machine):
        return
    if os.path.islink(machine):
        yield from _linked(machine, own)
    elif (name not in opened or not os.path.isdir(machine)) and is_placeholder(own, machine):
        yield Mount(machine, machine)
    elif os.path.isdir(machine) and (not os.path.lexists(own) or (os.path.isdir(own) and not os.path.islink(own))):
        names = sorted(os.listdir(machine))
        if len(names) > MOST_MOUNTS:
            yield Mount(machine, f"{MACHINE}{machine}")
            missing = (each for each in names if not os.path.lexists(f"{own}/{each}"))
            yield from (Mount(f"{MACHINE}{machine}/{each}", f"{machine}/{each}", "link") for each in missing)
            return
        for each in names:
            yield from _merged(f"{name}/{each}", root, opened)


def _linked(machine: str, own: str) -> Iterator[Mount]:
    """The machine's /bin is a link as a rule. Where the build has a folder of that name, shells are mounted into it."""
    if not os.path.lexists(own):
        yield Mount(os.readlink(machine), machine, "link")
    elif os.path.isdir(own) and not os.path.islink(own):
        for name in SHELLS:
            if os.path.exists(f"{machine}/{name}") and is_placeholder(f"{own}/{name}", f"{machine}/{name}"):
                yield Mount(os.path.realpath(f"{machine}/{name}"), f"{machine}/{name}")


def is_placeholder(own: str, machine: str) -> bool:
    """Whether the build has nothing of its own at a path: an empty file, or folders that the machine has as well."""
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
    return all(is_placeholder(f"{own}/{each}", f"{machine}/{each}") for each in os.listdir(own))


def create_mount_points(root: str, mounts: Sequence[Mount]) -> None:
    """Make the tree's usual folders, and the empty files, folders and links that the mounts take the place of."""
    for name in OWN:
        os.makedirs(f"{root}/{name}", exist_ok=True)
    with suppress(OSError):
        os.chmod(f"{root}/tmp", 0o700)  # all that runs in it is one user's
    _prepare_places(root, mounts)


def create_tmp_mount_points(folder: str, mounts: Sequence[Mount]) -> None:
    """The same in a folder that will be /tmp."""
    below = [replace(mount, target=mount.target[len("/tmp") :]) for mount in mounts if mount.target.startswith("/tmp/")]
    _prepare_places(folder, below)


def _prepare_places(root: str, mounts: Sequence[Mount]) -> None:
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
