"""RUN --mount: secrets, caches, and folders of the source or of another stage, for the time of one RUN line."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from ..dockerfile.dockerfile import Instruction
from ..errors import NotHonoured
from ..root_filesystem import RootFilesystem
from ..settings import BuildSettings

__all__ = ["Mounts"]


class Mounts:
    """The mounts of one stage, as links and files in its root file system."""

    def __init__(self, rootfs: RootFilesystem, source: Path, settings: BuildSettings) -> None:
        self._rootfs, self._source, self._settings = rootfs, source, settings
        self._placed = list[Path]()
        self.origins = list[str]()  # folders and files outside of the tree that are mounted

    def put(self, line: Instruction, workdir: str, stage: Callable[[str], RootFilesystem]) -> None:
        """Mount what a RUN line asks for; `stage` returns the files of an earlier one. Raises NotHonoured."""
        for name, value in line.flags:
            if name not in ("mount", "network", "security"):
                raise NotHonoured(line.line, f"RUN --{name}={value} is not honoured", line.text)
        for mount in _mounts_of(line):
            kind, inside = (
                mount.get("type", "bind"),
                mount.get("target") or mount.get("dst") or mount.get("destination"),
            )
            if kind == "secret":
                self._secret(mount.get("id", ""), inside)
                continue
            if kind not in ("bind", "cache", "tmpfs") or not inside:
                raise NotHonoured(line.line, f"a mount of type {kind} is not honoured", line.text)
            place = self._rootfs.at(posixpath.join(workdir, inside))
            if os.path.lexists(place):
                continue  # a cache that is there already
            place.parent.mkdir(parents=True, exist_ok=True)
            if kind == "bind":
                source, other = posixpath.normpath(f"/{mount.get('source', '/')}"), mount.get("from")
                origin = stage(other).at(source) if other else self._of_source(source)
            else:
                origin = self._settings.cache / "mounts" / hashlib.sha256(inside.encode()).hexdigest()[:16]
                origin.mkdir(parents=True, exist_ok=True)
            place.symlink_to(origin)
            self.origins.append(str(origin))
            self._placed.append(place)

    def variables(self, line: Instruction) -> dict[str, str]:
        """Return the secrets of a RUN line as variables, as a program cannot find their file without a sandbox."""
        values = dict[str, str]()
        for mount in _mounts_of(line):
            if mount.get("type") == "secret" and (name := mount.get("id", "")) in self._settings.secrets:
                values[mount.get("env") or name] = self._settings.secrets[name]
        return {name: value for name, value in values.items() if re.fullmatch(r"[A-Za-z_]\w*", name)}

    def take_away(self) -> None:
        """Unmount everything."""
        while self._placed:
            self._placed.pop().unlink(missing_ok=True)

    def _of_source(self, path: str) -> Path:
        place = self._source / path.lstrip("/")
        if not place.resolve().is_relative_to(self._source.resolve()):
            raise ValueError(f"{path} leads out of the source")
        return place

    def _secret(self, name: str, inside: str | None) -> None:
        if name not in self._settings.secrets:
            return
        place = self._rootfs.at(inside or f"/run/secrets/{name}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self._settings.secrets[name])
        self._placed.append(place)


def _mounts_of(line: Instruction) -> list[dict[str, str]]:
    texts = [value for name, value in line.flags if name == "mount"]
    return [{part.partition("=")[0]: part.partition("=")[2] for part in text.split(",")} for text in texts]
