"""Which files of this machine are mounted into a build's file tree, so that programs run with the tree as their root.

System folders that the build left alone are the machine's, read-only. Where the build has files of its own in one, the
two are merged: the build's win. /root, /home, /tmp, /var and every other folder are the build's alone, so that what an
app writes there is kept with the build.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

__all__ = ["Mount", "hub_mount", "inside", "is_hollow", "mounts_of", "needed_paths", "prepare"]

SYSTEM = ("usr", "etc", "opt", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu", "snap")
ALWAYS = ("opt",)  # apps write there
RUN = ("run/systemd/resolve", "run/nvidia-persistenced", "run/nvidia-fabricmanager", "run/nscd", "run/resolvconf")
OWN = ("tmp", "root", "home", "var/tmp", "var/log", "var/cache", "var/lib", "run", "mnt", "srv", "media")
# What an image's /bin must have even where the build put files of its own there.
SHELLS = ("sh", "bash", "env")
# More entries than this are linked, not mounted: each mount costs bwrap a look at all others.
MOST_MOUNTS = 250
MACHINE = "/.machine"  # the machine's folders whose entries are linked
LISTS = frozenset(
    {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "LIBRARY_PATH", "MANPATH", "BANANASTAND_SHARED_HUB"}
)


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of this machine at a path of the tree. "link": a symbolic link to `source` instead."""

    source: str
    target: str
    kind: Literal["read", "write", "device", "link"] = "read"

    def words(self) -> tuple[str, ...]:
        """For bwrap. Links are made beforehand, by `prepare`."""
        if self.kind == "link":
            return ()
        option = {"read": "--ro-bind", "write": "--bind", "device": "--dev-bind"}[self.kind]
        return (option, self.source, self.target)


def inside(path: str, root: str) -> str:
    """A path as it is in the image: without the root, if it begins with it."""
    if path == root or path.startswith(f"{root}/"):
        return path[len(root) :] or "/"
    return path


def mounts_of(root: str, writable: Sequence[str] = ()) -> list[Mount]:
    """The machine's system folders and devices. writable: paths of the image that a program is about to write."""
    found, opened = list[Mount](), set[str](ALWAYS)
    for path in writable:
        parts = os.path.normpath(path).strip("/").split("/")
        opened |= {"/".join(parts[: count + 1]) for count in range(len(parts))}
    for name in SYSTEM:
        found += _merged(name, root, opened)
    for name in RUN:
        if os.path.isdir(f"/{name}"):
            found.append(Mount(f"/{name}", f"/{name}"))
    found += [Mount("/dev", "/dev", "device"), Mount("/proc", "/proc", "device"), Mount("/sys", "/sys", "device")]
    return found


def _merged(name: str, root: str, opened: set[str]) -> Iterator[Mount]:
    machine, own = f"/{name}", f"{root}/{name}"
    if not os.path.lexists(machine):
        return
    if os.path.islink(machine):
        yield from _linked(machine, own)
    elif (name not in opened or not os.path.isdir(machine)) and is_hollow(own, machine):
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
            if os.path.exists(f"{machine}/{name}") and is_hollow(f"{own}/{name}", f"{machine}/{name}"):
                yield Mount(os.path.realpath(f"{machine}/{name}"), f"{machine}/{name}")


def is_hollow(own: str, machine: str) -> bool:
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
    return all(is_hollow(f"{own}/{each}", f"{machine}/{each}") for each in os.listdir(own))


def needed_paths(
    command: Sequence[str], environment: Mapping[str, str], root: str, visible: Sequence[str]
) -> list[Mount]:
    """What a program needs of this machine outside of the system folders, at its own path.

    Its interpreter, the folders of PATH, this package, and every absolute path that a variable's value names.
    """
    read, write = set[str](), {root, *(os.path.abspath(each) for each in visible)}
    home = os.path.realpath(environment.get("HOME") or "/")
    programs = [
        shutil.which(each, path=environment.get("PATH")) for each in (*command[:1], "python3", "python", "node")
    ]
    for program in programs:
        read |= _prefixes(program) if program else set()
    read.add(str(Path(__file__).resolve().parents[2]))
    for name, value in environment.items():
        for part in value.split(":"):
            if not part.startswith("/") or name in ("HOME", "PWD", "OLDPWD", "TMPDIR") or not os.path.exists(part):
                continue
            if name in LISTS:
                read.add(os.path.dirname(part) if os.path.basename(part) in ("bin", "shims") else part)
            elif os.path.isfile(part):  # what it names may lie beside it, as the folder of a model does
                read.add(os.path.dirname(part))
            elif not name.startswith("XDG_"):
                write.add(part)
    write -= {"/", home}
    found = {path: Mount(path, path) for path in read - {"/", home}} | {p: Mount(p, p, "write") for p in write}
    mounts = [found[path] for path in sorted(found, key=lambda path: (path.count("/"), path))]
    return [mount for mount in mounts if os.path.exists(mount.source) and _is_wanted(mount, root)]


def _is_wanted(mount: Mount, root: str) -> bool:
    """Not what the system folders bring already, what the build has itself, or what lies in the tree."""
    if mount.target == root:
        return True
    top = mount.target.split("/")[1]
    if top in SYSTEM or top in ("dev", "proc", "sys") or mount.target.startswith(f"{root}/"):
        return False
    own = f"{root}{mount.target}"
    return not os.path.lexists(own) or _has_only_folders(own)


def _has_only_folders(path: str) -> bool:
    if os.path.islink(path) or not os.path.isdir(path):
        return os.path.isfile(path) and os.path.getsize(path) == 0
    return not any(names for _, _, names in os.walk(path))


def _prefixes(program: str) -> set[str]:
    """The installation of a program: the folder above its bin, for each link on the way, and a venv's base."""
    found, path = set[str](), os.path.abspath(program)
    for _ in range(16):
        folder = os.path.dirname(path)
        prefix = os.path.dirname(folder) if os.path.basename(folder) == "bin" else folder
        found |= {prefix, os.path.realpath(prefix)}
        with suppress(OSError):
            for line in Path(prefix, "pyvenv.cfg").read_text(encoding="utf-8").splitlines():
                key, _, value = line.partition("=")
                if key.strip() == "home":
                    base = os.path.dirname(value.strip())
                    found |= {base, os.path.realpath(base)}
        for site in glob.glob(f"{glob.escape(prefix)}/lib/python3*/site-packages"):
            found |= set(_led_to(site))
        if not os.path.islink(path):
            break
        path = os.path.normpath(os.path.join(folder, os.readlink(path)))
    return found - {"/"}


def _led_to(site: str) -> Iterator[str]:
    """Folders outside of an environment that it takes packages from: by .pth files, and installed as editable."""
    for note in glob.glob(f"{glob.escape(site)}/*.pth"):
        with suppress(OSError, ValueError):
            lines = Path(note).read_text(encoding="utf-8").splitlines()
            yield from (line.strip() for line in lines if line.startswith("/") and os.path.isdir(line.strip()))
    for note in glob.glob(f"{glob.escape(site)}/*.dist-info/direct_url.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(Path(note).read_text(encoding="utf-8"))
            if "dir_info" in told and str(told["url"]).startswith("file:///"):
                yield unquote(urlsplit(str(told["url"])).path)


def hub_mount(environment: Mapping[str, str], root: str) -> list[Mount]:
    """The machine's hub cache in the place of the home folder's, unless a variable names one or the build has one."""
    if any(environment.get(name) for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")):
        return []
    shared = os.path.expanduser("~/.cache/huggingface/hub")
    target = f"{environment.get('HOME', '/root')}/.cache/huggingface/hub"
    if not os.path.isdir(shared) or not (
        not os.path.lexists(f"{root}{target}") or _has_only_folders(f"{root}{target}")
    ):
        return []
    return [Mount(shared, target, "write")]


def prepare(root: str, mounts: Sequence[Mount]) -> None:
    """Make the tree's usual folders, and the empty files, folders and links that the mounts take the place of."""
    for name in OWN:
        os.makedirs(f"{root}/{name}", exist_ok=True)
    with suppress(OSError):
        os.chmod(f"{root}/tmp", 0o700)  # all that runs in it is one user's
    for mount in mounts:
        place = f"{root}{mount.target}"
        if os.path.lexists(place):
            continue
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if mount.kind == "link":
            with suppress(FileExistsError):
                os.symlink(mount.source, place)
        elif os.path.isdir(mount.source):
            os.makedirs(place, exist_ok=True)
        else:
            with suppress(FileExistsError), open(place, "x"):
                pass
