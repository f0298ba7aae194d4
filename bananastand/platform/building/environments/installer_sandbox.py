"""Runs an installer, and the setup scripts of packages, with only the files of this machine that it needs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...replicas.bind_mounts import Mount
from ...replicas.isolation_policy import IsolationPolicy

__all__ = ["sandbox_installer"]

# Of a home folder: what pip, uv and compilers of packages read, and what they keep.
READ = (".config/pip", ".pip", ".netrc", ".config/uv", ".local/share/uv", ".local/bin", ".local/lib", ".pyenv",
        ".rustup", ".cargo/bin", ".nvm", ".conda", "miniconda3", "anaconda3", "miniforge3")  # fmt: skip
WRITTEN = (".cache/pip", ".cache/uv", ".cargo/registry")


@contextmanager
def sandbox_installer(
    command: Sequence[str],
    policy: IsolationPolicy | None,
    *,
    cwd: Path,
    readable: Sequence[str],
    writable: Sequence[str],
) -> Generator[tuple[tuple[str, ...], dict[str, str]]]:
    """Yield the command in a sandbox and variables for it; both unchanged without a policy.

    Args:
        command: The installer's.
        policy: Of the build.
        cwd: The folder it runs in; where that is a build's, the build's files are there.
        readable: Further files and folders that it reads.
        writable: Folders that it installs into.
    """
    if policy is None:
        yield tuple(command), {}
        return
    with tempfile.TemporaryDirectory(prefix="bananastand-tmp-") as tmp:
        home = os.path.realpath(os.path.expanduser("~"))
        words = [shutil.which("bwrap") or "bwrap", "--ro-bind", "/", "/"]
        hidden = sorted({home, policy.data} - {"/"}, key=len)
        for place in hidden:
            words += ["--perms", "0700", "--tmpfs", place]
        seen = [*(f"{home}/{name}" for name in READ), *policy.user_paths, *readable]
        writable_paths = [*(f"{home}/{name}" for name in WRITTEN), *_of_build(cwd, policy), *writable]
        for place in (*writable_paths, tmp):
            nested = any(
                place != folder and _is_below(place, folder) for folder in writable_paths
            )  # a file links within one mount
            if os.path.exists(place) and not nested:
                words += ["--bind", place, place]
        for place in dict.fromkeys(sorted(seen)):
            inside = any(_is_below(place, folder) for folder in writable_paths)
            if (
                os.path.exists(place)
                and not inside
                and any(_is_below(os.path.realpath(place), folder) for folder in hidden)
            ):
                words += ["--ro-bind", place, place]
        for place in _others(f"{policy.data}/cache", (*writable, *readable)):
            words += ["--tmpfs", place]
        words += policy.bwrap_arguments((Mount("/", "/"),), "/nothing")
        is_there = _of_build(cwd, policy) or not any(_is_below(os.path.realpath(cwd), folder) for folder in hidden)
        yield (*words, "--chdir", str(cwd) if is_there else "/", "--", *command), {"TMPDIR": tmp}


def _of_build(cwd: Path, policy: IsolationPolicy) -> list[str]:
    """Return the folder of the build that the working folder belongs to."""
    builds, real = f"{policy.data}/builds/", os.path.realpath(cwd)
    return [builds + real[len(builds) :].partition("/")[0]] if real.startswith(builds) else []


def _others(cache: str, used: Sequence[str]) -> Iterator[str]:
    """Yield the cache's folders of other builds, which are hidden where the cache is visible as a whole."""
    if cache not in used:
        return
    for folder in (cache, f"{cache}/environments"):
        for place in sorted(Path(folder).glob("*")):
            needed = place.name == "packages" or any(_is_below(path, str(place)) for path in used)
            if place.is_dir() and not needed:
                yield str(place)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
