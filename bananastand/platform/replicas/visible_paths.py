"""Finds the files of this machine, outside of the system folders, that a sandboxed program needs to see.

These are interpreters, the paths in environment variables, and the hub's cache.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .bind_mounts import SYSTEM, Mount
from .isolation_policy import IsolationPolicy

__all__ = ["hub_cache_mounts", "required_mounts", "installation_prefixes"]

LISTS = frozenset(
    {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "LIBRARY_PATH", "MANPATH", "BANANASTAND_SHARED_HUB"}
)


def required_mounts(
    command: Sequence[str],
    environment: Mapping[str, str],
    root: str,
    visible: Sequence[str],
    policy: IsolationPolicy | None = None,
) -> list[Mount]:
    """Return the mounts of what a program needs outside of the system folders, at its own path.

    These are its interpreter, the folders of PATH, this package, and every absolute path in a variable.

    Args:
        command: The program and its arguments.
        environment: Of the program.
        root: The build's file tree.
        visible: Further paths, writable.
        policy: The isolation; its `allows_reading` decides about each path.
    """
    read, write = set[str](), {root, *(os.path.abspath(path) for path in visible)}
    home = os.path.realpath(environment.get("HOME") or "/")
    homes = {"/", home, os.path.realpath(os.path.expanduser("~"))} if policy else {"/", home}
    home = os.path.realpath(os.path.expanduser("~")) if policy else home
    package = str(Path(__file__).resolve().parents[2])

    def is_allowed(part: str) -> bool:
        return policy is None or part.startswith(package) or policy.allows_reading(part, root)

    search = ":".join(part for part in environment.get("PATH", "").split(":") if is_allowed(part))
    own = [command[0] if command[0].startswith("/") else shutil.which(command[0], path=search)] if command else []
    for program in (*own, *(shutil.which(name, path=search) for name in ("python3", "python", "node"))):
        for prefix in installation_prefixes(program, policy) if program else ():
            read |= policy.program_folders(prefix, home) if policy else {prefix}
    read.add(package)
    for name, value in environment.items():
        for part in value.split(":"):
            if not part.startswith("/") or name in ("HOME", "PWD", "OLDPWD", "TMPDIR") or not os.path.exists(part):
                continue
            if not is_allowed(part):
                continue
            if name in LISTS:
                folder = os.path.dirname(part) if os.path.basename(part) in ("bin", "shims") else part
                read |= policy.program_folders(folder, home) if policy else {folder}
            elif os.path.isfile(part):  # what it names may lie beside it, as the folder of a model does
                read.add(part if policy and os.path.realpath(os.path.dirname(part)) in homes else os.path.dirname(part))
            elif not name.startswith("XDG_"):
                (write if policy is None or policy.allows_writing(part, root) else read).add(part)
    write -= homes
    found = {path: Mount(path, path) for path in read - homes} | {p: Mount(p, p, "write") for p in write}
    mounts = [found[path] for path in sorted(found, key=lambda path: (path.count("/"), path))]
    return [mount for mount in mounts if os.path.exists(mount.source) and _is_needed(mount, root)]


def hub_cache_mounts(environment: Mapping[str, str], root: str, policy: IsolationPolicy | None = None) -> list[Mount]:
    """Return the mount of the machine's hub cache in the app's home, unless a variable or the build has a cache."""
    if any(environment.get(name) for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")):
        return []
    shared = os.path.expanduser("~/.cache/huggingface/hub")
    target = f"{environment.get('HOME', '/root')}/.cache/huggingface/hub"
    if not os.path.isdir(shared) or not (
        not os.path.lexists(f"{root}{target}") or _has_only_folders(f"{root}{target}")
    ):
        return []
    return [Mount(shared, target, "write" if policy is None or policy.is_for_builds else "read")]


def _is_needed(mount: Mount, root: str) -> bool:
    """Whether a mount adds something: not a system folder, nor what the build has itself, nor a path in the tree."""
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


def installation_prefixes(program: str, policy: IsolationPolicy | None) -> set[str]:
    """Return the folders of a program's installation: above its bin, for each link on the way, and a venv's base.

    Args:
        program: The path of the program.
        policy: Folders that are not installations are left out where there is a policy.
    """
    found, linked, path = set[str](), set[str](), os.path.abspath(program)
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
        if policy is None or not prefix.startswith(f"{policy.data}/"):  # a build's environment links to no other folder
            for site in glob.glob(f"{glob.escape(prefix)}/lib/python3*/site-packages"):
                linked |= set(_linked_folders(site))
        if not os.path.islink(path):
            break
        path = os.path.normpath(os.path.join(folder, os.readlink(path)))
    allowed = found if policy is None else {prefix for prefix in found if policy.allows_installation(prefix)}
    return (allowed | linked) - {"/"}


def _linked_folders(site: str) -> Iterator[str]:
    """Yield the folders outside of an environment with packages of it: from .pth files and editable installs."""
    for note in glob.glob(f"{glob.escape(site)}/*.pth"):
        with suppress(OSError, ValueError):
            lines = Path(note).read_text(encoding="utf-8").splitlines()
            yield from (line.strip() for line in lines if line.startswith("/") and os.path.isdir(line.strip()))
    for note in glob.glob(f"{glob.escape(site)}/*.dist-info/direct_url.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            origin = json.loads(Path(note).read_text(encoding="utf-8"))
            if "dir_info" in origin and str(origin["url"]).startswith("file:///"):
                yield unquote(urlsplit(str(origin["url"])).path)
