"""What a node needs of a build to run it, packed on the front: files of the build, weights, packages, an image."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from pathlib import Path
from typing import Any

import bananastand
from bananastand.platform.launch import Launch
from bananastand.platform.nodes import ReplicaOrder
from bananastand.platform.store.packs import Pack, write_pack
from bananastand.platform.store.private_files import make_folder, open_private

from .environments import look_into, recipe_message
from .images import describe_image, save_image

__all__ = ["CHUNK", "BuildFiles", "build_folder"]

CHUNK = 4 * 2**20  # bytes that are sent at once
LEFT_OUT = ("source", "tmp")  # of a build's folder: no replica reads it, or each has its own
LAYERS = ".layers"  # the suffix of the folders of replicas' own writes
OUTSIDE = ("cache", "huggingface")  # of the data directory: what links of a build lead to


class BuildFiles:
    """The files of all builds of a platform, for its nodes.

    Args:
        data: The data directory. Packs are kept below its cache.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._packs = make_folder(data / "cache" / "packs")
        self._known: dict[Path, asyncio.Task[Pack]] = {}
        self._recipes: dict[str, dict[str, Any] | None] = {}

    async def describe(self, order: ReplicaOrder) -> dict[str, Any]:
        """Return what a node needs for an order, as a JSON object for its `NodeFiles`.

        Raises:
            StoreError, OSError: The build's files cannot be packed.
        """
        launch = order.launch
        package = str(Path(bananastand.__file__).parent)
        shipment: dict[str, Any] = {"data": str(self._data), "package": package, "files": []}
        if launch.kind == "container":
            shipment["image"] = await describe_image(launch.engine or "docker", launch.image or "")
            return shipment
        folder = build_folder(launch, self._data)
        pack = await self._pack(folder)
        shipment["build"] = {"folder": str(folder), "digest": pack.digest, "size": pack.size}
        shipment["files"] = await asyncio.to_thread(lambda: list(_weights(folder, self._data)))
        if launch.python is not None:
            shipment["environment"] = await self._recipe(launch.python)
        return shipment

    async def chunks(self, shipment: dict[str, Any], need: dict[str, Any]) -> AsyncIterable[bytes]:
        """Return the bytes of one thing that a node has asked for: a pack, or a file of weights.

        Raises:
            StoreError, OSError: It cannot be read or packed.
        """
        if need["kind"] == "file":
            return _file_chunks(Path(need["path"]))
        if need["kind"] == "image":
            return _image_chunks(need, self._packs / f".{uuid.uuid4().hex}.part")
        pack = await self._pack(Path(need["folder"]))
        need["digest"] = pack.digest
        return _file_chunks(self._packs / f"{pack.digest}.pack")

    async def _recipe(self, python: str) -> dict[str, Any] | None:
        if python not in self._recipes:
            recipe = await look_into(python)
            self._recipes[python] = recipe_message(recipe) if recipe is not None else None
        return self._recipes[python]

    async def _pack(self, folder: Path) -> Pack:
        """Return the pack of a folder, which is made once."""
        making = self._known.get(folder)
        if making is None or (making.done() and (making.cancelled() or making.exception() is not None)):
            making = self._known[folder] = asyncio.create_task(asyncio.to_thread(self._make, folder))
        return await asyncio.shield(making)

    def _make(self, folder: Path) -> Pack:
        note = self._packs / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:24]}.json"
        try:
            found: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
            pack = Pack(found["digest"], found["size"])
            if (self._packs / f"{pack.digest}.pack").stat().st_size == pack.size and found["inode"] == _inode(folder):
                return pack
        except (OSError, ValueError, KeyError, TypeError):
            pass
        spool = self._packs / f".{uuid.uuid4().hex}.part"
        try:
            with open(spool, "wb", opener=open_private) as file:
                pack = write_pack(folder, file, without=set(_left_out(folder)))
            spool.replace(self._packs / f"{pack.digest}.pack")
        finally:
            spool.unlink(missing_ok=True)
        with open(note, "w", encoding="utf-8", opener=open_private) as file:
            json.dump({"folder": str(folder), "inode": _inode(folder), "digest": pack.digest, "size": pack.size}, file)
        return pack

    def sweep(self) -> None:
        """Delete the packs of builds that are gone. Blocks."""
        used = set[str]()
        for note in self._packs.glob("*.json"):
            try:
                found: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
                if found["inode"] == _inode(Path(found["folder"])):
                    used.add(f"{found['digest']}.pack")
                    continue
            except (OSError, ValueError, KeyError, TypeError):
                pass
            note.unlink(missing_ok=True)
        for path in self._packs.iterdir():
            if path.suffix in (".pack", ".part") and path.name not in used:
                path.unlink(missing_ok=True)


def build_folder(launch: Launch, data: Path) -> Path:
    """Return the folder that holds all of a process's build."""
    builds = data / "builds"
    for path in filter(None, (launch.root, launch.workdir)):
        if Path(path).is_relative_to(builds) and Path(path) != builds:
            return builds / Path(path).relative_to(builds).parts[0]
    return Path(launch.root or launch.workdir)


def _inode(folder: Path) -> int:
    return os.stat(folder).st_ino


def _left_out(folder: Path) -> Iterator[str]:
    yield from LEFT_OUT if (folder / "stage0").exists() else ()
    for stage in folder.glob("stage*"):
        yield from (f"{stage.name}/{path.name}" for path in stage.iterdir() if path.name.endswith(LAYERS))


def _weights(folder: Path, data: Path) -> Iterator[dict[str, Any]]:
    """Yield the files of the shared cache that links of a build lead to, as objects for `NodeFiles`."""
    cache = os.path.realpath(data.joinpath(*OUTSIDE))
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = os.path.join(place, name)
            if not os.path.islink(path) or not os.path.isabs(target := os.readlink(path)):
                continue
            if not (target.startswith(f"{cache}/") or "huggingface" in target) or not os.path.isfile(target):
                continue
            about = os.stat(target)
            text = f"{os.path.realpath(target)} {about.st_size} {about.st_mtime_ns}"
            id = hashlib.sha256(text.encode()).hexdigest()[:32]
            yield {"id": id, "path": target, "size": about.st_size, "link": os.path.relpath(path, folder)}


async def _image_chunks(need: dict[str, Any], spool: Path) -> AsyncGenerator[bytes]:
    try:
        await save_image(need, spool)
        async for chunk in _file_chunks(spool):
            yield chunk
    finally:
        spool.unlink(missing_ok=True)


async def _file_chunks(path: Path) -> AsyncGenerator[bytes]:
    file = await asyncio.to_thread(open, path, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
    finally:
        file.close()
