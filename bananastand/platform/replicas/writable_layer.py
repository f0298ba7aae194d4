"""Gives each replica a writable layer of its own over its build's file tree, as a container has.

No replica reads what another one writes, and the build stays as it was built. As a program (`writable_layer.py ROOT
LAYER COMMAND ...`) this module mounts the layer over ROOT in a mount namespace and becomes the command. It needs Linux
with overlayfs in namespaces (5.11 or newer, or root), and the standard library only.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["overlay_command", "remove_layer", "overlay_problem", "writes_files"]

NEW_MOUNTS, NEW_USER, RECURSIVE, PRIVATE = 0x20000, 0x10000000, 0x4000, 1 << 18
SUFFIX = ".layers"  # beside the tree, so that it goes with the build
WROTE = "wrote-files"  # an empty file: replicas of the version write files
# Folders of libraries, which are safe to share between processes.
LIBRARIES = frozenset({"__pycache__", ".cache", ".config", ".nv", ".triton", ".local"})


def overlay_command(command: Sequence[str], root: str, replica: str) -> tuple[tuple[str, ...], Path]:
    """Turn a command that uses a file tree into one that has a layer of its own over it.

    Args:
        command: The program and its arguments.
        root: The tree.
        replica: A name for the layer.

    Returns:
        The command, and the layer's folder, for `remove_layer`.
    """
    layer = Path(f"{root}{SUFFIX}", replica)
    for name in ("upper", "work"):
        (layer / name).mkdir(parents=True, exist_ok=True)
    os.chmod(layer / "upper", 0o700)
    return (sys.executable, "-I", "-S", __file__, root, str(layer), *command), layer


def remove_layer(layer: Path) -> None:
    """Delete what a replica wrote, after its end, and record for `writes_files` whether it wrote anything."""
    if _was_written(layer):
        with suppress(OSError):
            (layer.parent / WROTE).touch()
    with suppress(OSError):
        os.chmod(layer / "work" / "work", 0o700)  # the kernel leaves it without any permission
    shutil.rmtree(layer, ignore_errors=True)


def writes_files(root: str) -> bool:
    """Whether replicas with this file tree have written files so far."""
    layers = Path(f"{root}{SUFFIX}")
    if (layers / WROTE).exists():
        return True
    return layers.is_dir() and any(_was_written(layer) for layer in layers.iterdir() if layer.is_dir())


@functools.cache
def overlay_problem() -> str | None:
    """Return why writable layers do not work here; None where they do. The result of one real try is cached."""
    if not sys.platform.startswith("linux"):
        return "overlayfs is Linux's"
    with tempfile.TemporaryDirectory(prefix="bananastand-probe-") as folder:
        root = Path(folder, "root")
        root.mkdir()
        (root / "old").touch()
        command, layer = overlay_command(("sh", "-c", f"rm {root}/old && echo 1 > {root}/new"), str(root), "probe")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.SubprocessError) as error:
            return f"a layer cannot be tried: {error}"
        works = (layer / "upper" / "new").is_file() and (root / "old").is_file()
        remove_layer(layer)
        if done.returncode or not works:
            return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    return None


def _was_written(layer: Path) -> bool:
    """Whether files were written or removed in a layer, outside of the folders of libraries."""
    try:
        since = layer.stat().st_mtime_ns
        for folder, folders, files in os.walk(layer / "upper"):
            nested = [os.stat(os.path.join(folder, name)).st_mtime_ns for name in folders]
            if files or os.stat(folder).st_mtime_ns > max(since, *nested, 0):
                return True
            folders[:] = [name for name in folders if name not in LIBRARIES]
    except OSError:
        pass  # it changes while it is looked at
    return False


def _mount(root: str, layer: str) -> None:
    """Mount the layer over the tree, for this process and its children. Raises OSError."""
    user, group = os.getuid(), os.getgid()
    if user == 0:
        _call("unshare", NEW_MOUNTS)
    else:
        _call("unshare", NEW_USER | NEW_MOUNTS)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path("/proc/self", name).write_text(text)
    _call("mount", b"none", b"/", None, RECURSIVE | PRIVATE, None)
    options = f"lowerdir={_quoted(root)},upperdir={_quoted(layer)}/upper,workdir={_quoted(layer)}/work"
    options += ",userxattr" if user else ""
    _call("mount", b"overlay", os.fsencode(root), b"overlay", 0, os.fsencode(options))


def _quoted(path: str) -> str:
    """Escape a path for the options of a mount, which `,` and `:` separate."""
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def _call(name: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    try:
        _mount(sys.argv[1], sys.argv[2])
    except OSError as error:
        raise SystemExit(f"a writable layer cannot be mounted: {error}") from None
    os.execvp(sys.argv[3], sys.argv[3:])
