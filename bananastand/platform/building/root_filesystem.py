"""A stage's root file system, in a folder of this machine: COPY, ADD, and lookups by the image's paths."""

from __future__ import annotations

import difflib
import glob
import hashlib
import os
import posixpath
import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from .errors import DockerfileError
from .sources.archive import unpack
from .sources.ignore import Ignored
from .sources.sources import TARS, files_of

__all__ = ["RootFilesystem"]


class _Digest(Protocol):
    """A hash of hashlib's."""

    def update(self, data: bytes, /) -> None: ...


# Folders that every image has, and lines like `mkdir /opt/weights` count on.
USUAL = ("tmp", "root", "home", "opt", "srv", "mnt", "etc", "run", "usr/local", "usr/src", "var/tmp", "var/lib")


class RootFilesystem:
    """A stage's files below `root`; paths are absolute and of the image, with / between."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in USUAL:
            (root / name).mkdir(parents=True, exist_ok=True)

    def at(self, path: str) -> Path:
        """Return where an absolute path of the image lies on this machine. Raises ValueError outside of it."""
        inside = posixpath.normpath(f"/{path}").lstrip("/")
        place = self.root / inside
        real = place.resolve()
        if not real.is_relative_to(self.root.resolve()):
            raise ValueError(f"{path} leads out of the image")
        return place

    def has(self, path: str) -> bool:
        """Whether an absolute path exists, and not only as a folder that every image has."""
        inside = posixpath.normpath(f"/{path}").strip("/")
        if any(inside == name or name.startswith(f"{inside}/") for name in USUAL) or not inside:
            return False
        return os.path.lexists(self.root / inside)

    def copy(
        self, line: int, sources: Sequence[str], target: str, origin: Path, ignored: Ignored, *, unpacks: bool = False,
        largest: int, most_files: int, mode: int | None = None,
    ) -> str:  # fmt: skip
        """COPY and ADD: copy what the patterns match below `origin` to `target`; return a digest of it."""
        found = list[Path]()
        for pattern in sources:
            inside = posixpath.normpath(f"/{pattern}").lstrip("/") or "."
            pattern_below = glob.escape(str(origin)) + "/" + inside
            matches = [Path(path) for path in sorted(glob.glob(pattern_below, include_hidden=True))]
            matches = [path for path in matches if path.resolve().is_relative_to(origin.resolve())]
            copied = [path for path in matches if path.is_dir() or not ignored(path.relative_to(origin).as_posix())]
            if not copied and not matches and re.search(r"[*?\[]", pattern):
                continue  # as in Docker: `COPY package.json package-lock.json* ./` goes without the lock file
            if not copied:
                left = "; .dockerignore leaves it out" if matches else _guess(inside, origin)
                raise DockerfileError(line, f"{pattern} is not in the source{left}")
            found += copied
        if not found:
            return ""
        into_folder = target.endswith("/") or len(found) > 1 or (found[0].is_file() and self.at(target).is_dir())
        if len(found) > 1 and not target.endswith("/"):
            raise DockerfileError(line, f"several sources need a folder that ends with /, not {target}")
        sha = hashlib.sha256()
        for path in found:
            if path.is_dir():
                self._folder(path, target, origin, ignored, sha, mode)
            elif unpacks and path.name.endswith(TARS):
                unpack(path, self.at(target), largest=largest, most_files=most_files)
                sha.update(path.read_bytes())
            else:
                place = self.at(posixpath.join(target, path.name) if into_folder else target)
                _put(path, place, mode)
                _note(sha, PurePosixPath(target, path.name).as_posix(), place)
        return sha.hexdigest()

    def _folder(
        self, folder: Path, target: str, origin: Path, ignored: Ignored, sha: _Digest, mode: int | None
    ) -> None:
        """Copy the folder's content, without the folder itself, as Docker does."""
        prefix = "" if folder == origin else f"{folder.relative_to(origin).as_posix()}/"
        self.at(target).mkdir(parents=True, exist_ok=True)
        for name, entry in files_of(origin if not prefix else folder, _below(ignored, prefix)):
            place = self.at(posixpath.join(target, posixpath.dirname(name))) / posixpath.basename(name)
            if entry.is_dir(follow_symlinks=False):
                place.mkdir(parents=True, exist_ok=True)
            else:
                _put(Path(entry.path), place, mode)
            _note(sha, name, place)

    def fill_from(self, other: RootFilesystem) -> None:
        """Start with another stage's files."""
        shutil.copytree(other.root, self.root, symlinks=True, dirs_exist_ok=True)


def _guess(missing: str, origin: Path) -> str:
    """Return a suggestion for a missing path: a name like it, or one that differs in case or folder."""
    names = [path.relative_to(origin).as_posix() for path in (*origin.glob("*"), *origin.glob("*/*"))]
    alike = [name for name in names if posixpath.basename(name).lower() == posixpath.basename(missing).lower()]
    found = alike or difflib.get_close_matches(missing, names, 1, 0.75)
    return f"; is it {found[0]}?" if found else ""


def _below(ignored: Ignored, prefix: str) -> Ignored:
    return ignored.below(prefix) if prefix else ignored


def _put(source: Path, place: Path, mode: int | None) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() or place.is_file():
        place.unlink()
    shutil.copy2(source, place, follow_symlinks=False)
    if mode is not None and not place.is_symlink():
        place.chmod(mode)


def _note(sha: _Digest, name: str, place: Path) -> None:
    sha.update(name.encode() + b"\0")
    if place.is_symlink():
        sha.update(os.readlink(place).encode())
    elif place.is_file():
        sha.update(b"x" if place.stat().st_mode & 0o100 else b"-")
        with place.open("rb") as file:
            sha.update(hashlib.file_digest(file, "sha256").digest())
