"""Packs of versions in a shared store, from which another machine restores builds, environments and weights.

Everything is restored where it was: paths of builds and environments are absolute. The record of a version lists its
packs, and is written last.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from .building.environments.environment_cache import MADE, exclusive, note_user
from .errors import PlatformError, ReplicaFailed, StoreError
from .launch import Launch
from .nodes import Nodes, ReplicaOrder, RunningReplica
from .store.blobs import Blobs, write_chunks
from .store.packs import Packs, unpack_into
from .store.private_files import make_folder

__all__ = ["BuildPacks", "RestoringNodes", "VersionPart", "is_missing", "store_quietly"]

log = logging.getLogger("bananastand.platform")

RECORD = ".json"
LEFT_OUT = ("tmp",)  # of a build's folder: each replica has its own
LAYERS = ".layers"  # the end of the names of folders that replicas have written


@dataclass(frozen=True, slots=True)
class VersionPart:
    """A part of a version.

    Attributes:
        kind: A folder that is packed, an environment, which builds share, or a file.
        path: Where it is.
        digest: SHA-256 of the pack or the file.
        size: Bytes of it.
    """

    kind: Literal["folder", "environment", "file"]
    path: str
    digest: str
    size: int


class BuildPacks:
    """The packs of all versions of a platform.

    Args:
        data: The data directory.
        blobs: Packs by digest, files by digest, and records by the versions' ids.
    """

    def __init__(self, data: Path, blobs: Blobs) -> None:
        self._data, self._blobs, self._packs = data, blobs, Packs(blobs)
        self._busy: dict[str, asyncio.Lock] = {}

    async def has(self, version: str) -> bool:
        """Return whether a version can be restored. Raises StoreError."""
        return await self._blobs.size(version + RECORD) is not None

    async def store(self, version: str, launch: Launch) -> None:
        """Store what a version needs, unless it is stored. Raises StoreFull, StoreError."""
        async with self._busy.setdefault(version, asyncio.Lock()):
            if launch.kind != "process" or await self.has(version):
                return
            folder, parts = self._data / "builds" / version, list[VersionPart]()
            for path in await asyncio.to_thread(lambda: list(_pythons(launch, self._data))):
                pack = await self._packs.pack(path, without={MADE})
                kind = "environment" if path.parent.name == "environments" else "folder"
                parts.append(VersionPart(kind, str(path), pack.digest, pack.size))
            for path in await asyncio.to_thread(lambda: sorted(set(_weights(folder, self._data)))):
                parts.append(await self._store_file(path))
            without = await asyncio.to_thread(lambda: {*LEFT_OUT, *_layers(folder)})
            pack = await self._packs.pack(folder, without=without)
            parts.append(VersionPart("folder", str(folder), pack.digest, pack.size))
            record = {"parts": [asdict(part) for part in parts], "python": launch.python}
            await self._blobs.put(version + RECORD, json.dumps(record).encode())

    async def ensure_local(self, version: str, launch: Launch) -> bool:
        """Restore what this machine lacks of a version.

        Returns:
            Whether it is complete; False where it is not stored, and has to be built again.

        Raises:
            StoreFull, StoreError: It cannot be restored now.
        """
        if launch.kind != "process" or not await asyncio.to_thread(is_missing, launch):
            return True
        async with self._busy.setdefault(version, asyncio.Lock()):
            if not await self.has(version):
                return False
            for part in self._parts(await self._blobs.get(version + RECORD)):
                path = Path(part.path)
                if not path.is_relative_to(self._data):
                    log.warning("version %s is of a platform with another data directory: %s", version, path)
                    return False
                await self._restore(part, path, self._data / "builds" / version)
            return not await asyncio.to_thread(is_missing, launch)

    async def sweep(self, versions: Collection[str], age: float) -> None:
        """Delete the records of versions that are gone, and the packs that no record names. Raises StoreError.

        Args:
            versions: The ids of those that exist.
            age: Seconds for which everything stays: another machine may be about to write its record.
        """
        found, used = await self._blobs.list(), set[str]()
        for one in found:
            version = one.name.removesuffix(RECORD)
            if one.name.endswith(RECORD) and version in versions:
                used |= {one.name, *(part.digest for part in self._parts(await self._blobs.get(one.name)))}
        await self._blobs.remove_all(one.name for one in found if one.name not in used and one.age > age)

    async def _store_file(self, path: Path) -> VersionPart:
        digest, size = await asyncio.to_thread(_digest_of, path)
        if await self._blobs.size(digest) != size:
            await self._blobs.add(digest, path)
        return VersionPart("file", str(path), digest, size)

    async def _restore(self, part: VersionPart, path: Path, user: Path) -> None:
        make_folder(path.parent)
        if part.kind == "environment":
            async with exclusive(path.with_suffix(".lock")):
                if not path.is_dir():
                    await unpack_into(path, part.digest, self._packs.open(part.digest))
                    (path / MADE).touch(0o600)
                note_user(path, user)
        elif part.kind == "file" and not path.exists():
            if await write_chunks(self._blobs.chunks(part.digest), path) != part.digest:
                path.unlink()
                raise StoreError(f"{path} cannot be restored: what is stored of it is damaged")
        elif part.kind == "folder" and not path.is_dir():
            await unpack_into(path, part.digest, self._packs.open(part.digest))

    @staticmethod
    def _parts(record: bytes) -> list[VersionPart]:
        try:
            return [VersionPart(**part) for part in json.loads(record)["parts"]]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"the record of a version's packs is damaged: {error}") from error


async def store_quietly(packs: BuildPacks, version: str, launch: Launch) -> None:
    """Store a version; what goes wrong is logged, and another machine would build it again."""
    try:
        await packs.store(version, launch)
    except (PlatformError, OSError) as error:
        log.warning("version %s is on this machine alone: %s", version, error)


class RestoringNodes:
    """Nodes that get the files of a version back before they start a replica of it; all else is as without.

    Args:
        nodes: The nodes.
        packs: The packs of versions.
    """

    def __init__(self, nodes: Nodes, packs: BuildPacks) -> None:
        self.nodes, self._packs = nodes, packs

    async def start(self, order: ReplicaOrder, on_line: Callable[[str], None]) -> RunningReplica:
        """Start the program of an order. Raises ReplicaFailed, as the nodes do."""
        try:
            is_local = await self._packs.ensure_local(order.deployment, order.launch)
        except StoreError as error:
            raise ReplicaFailed(f"the files of its version cannot be restored: {error}") from error
        if not is_local:
            raise ReplicaFailed("the files of its version are gone, and not in the store of blobs: deploy it again")
        return await self.nodes.start(order, on_line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.nodes, name)


def is_missing(launch: Launch) -> bool:
    """Return whether this machine lacks files of a launch. Blocks."""
    if launch.kind != "process":
        return False
    python = launch.python or ""
    if "/" in python and not os.path.exists(python):
        return True
    return launch.root is not None and not Path(launch.workdir).is_dir()


def _pythons(launch: Launch, data: Path) -> Iterator[Path]:
    """Yield the folders of the data directory's cache that a launch's interpreter is in, and is a link into."""
    cache, python = data / "cache", launch.python or "/"
    paths = [Path(path) for path in (python, os.path.realpath(python))]
    yield from dict.fromkeys(
        cache.joinpath(*path.relative_to(cache).parts[:2]) for path in paths if path.is_relative_to(cache)
    )


def _layers(folder: Path) -> Iterator[str]:
    found = (*folder.glob(f"*{LAYERS}"), *folder.glob(f"stage*/*{LAYERS}"))
    return (path.relative_to(folder).as_posix() for path in found)


def _weights(folder: Path, data: Path) -> Iterator[Path]:
    """Yield the files of the shared cache that links of a build lead to."""
    cache = data / "cache" / "huggingface"
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            target = Path(os.readlink(path)) if os.path.islink(path) else None
            if target is not None and target.is_relative_to(cache) and target.is_file():
                yield target


def _digest_of(path: Path) -> tuple[str, int]:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size
