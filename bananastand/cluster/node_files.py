"""The files of builds on a node: what was sent is kept by its content, and a launch is led to it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import bananastand
from bananastand.platform.errors import StoreError, StoreFull
from bananastand.platform.launch import Launch
from bananastand.platform.store.pack_cache import HeldPack, PackCache
from bananastand.platform.store.packs import unpack_into
from bananastand.platform.store.private_files import make_folder, open_private

from .environments import Recipe, find_environment
from .images import has_image, load_image

__all__ = ["NodeFiles", "NodeUnfit"]

KEPT = 30 * 86_400.0  # seconds that weights which nothing uses are kept
LED = ".bananastand-links"  # in a build whose links were led to this node's files
FRONT_CACHE = ("cache", "huggingface")  # of weights, in a front's data directory as in a node's


class NodeUnfit(Exception):
    """This node cannot run a version, and another one may; the message says why."""


class NodeFiles:
    """The builds on one node.

    Args:
        folder: The node's own; its builds, weights and modules are below it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder)
        self._builds = PackCache(folder / "builds")
        self._weights = make_folder(folder.joinpath(*FRONT_CACHE, "files"))
        self._environments: dict[str, Recipe] = {}
        self._pythons: dict[str, str] = {}  # of a front -> that takes its place here

    def sweep(self) -> None:
        """Delete weights that nothing has used for a month, and what is half-made. Blocks."""
        for path in self._weights.iterdir():
            if path.name.startswith(".") or path.stat().st_mtime < time.time() - KEPT:
                path.unlink(missing_ok=True)

    async def missing(self, shipment: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what has to be sent for a build, as objects with a `kind`.

        Args:
            shipment: `BuildFiles.describe`'s.

        Raises:
            NodeUnfit: The node can never run it as it is now.
        """
        if (image := shipment.get("image")) is not None:
            return [] if await has_image(image) else [{"kind": "image", **image}]
        needs = list[dict[str, Any]]()
        build = shipment["build"]
        if not (self._builds.folder / build["digest"]).is_dir():
            needs.append({"kind": "build", "folder": build["folder"], "size": build["size"]})
        for file in {file["id"]: file for file in shipment["files"]}.values():
            if not (self._weights / file["id"]).exists():
                needs.append({"kind": "file", "id": file["id"], "path": file["path"]})
        if (environment := shipment.get("environment")) is not None:
            needs += await self._missing_of_environment(Recipe(**environment))
        return needs

    async def _missing_of_environment(self, recipe: Recipe) -> list[dict[str, Any]]:
        python, reasons = await find_environment(recipe, self._environments)
        if python is not None:
            self._pythons[recipe.python] = python
            return []
        if os.path.lexists(recipe.prefix):
            raise NodeUnfit(
                f"it has no Python environment like that of the build: {'; '.join(reasons) or 'none works'}. Install "
                f"the same packages there, or remove {recipe.prefix} there so that a copy can be fetched"
            )
        if (folder := _unwritable_parent(Path(recipe.prefix))) is not None:
            raise NodeUnfit(
                f"a copy of the build's Python environment has to be at {recipe.prefix}, as on the platform's machine, "
                f"and {folder} cannot be written there: run `bananastand join` as a user that can, or install the same "
                f"packages there ({'; '.join(reasons)})"
            )
        needs = [{"kind": "environment", "folder": recipe.prefix}]
        if recipe.base != recipe.prefix and not os.path.isdir(recipe.base):
            if (folder := _unwritable_parent(Path(recipe.base))) is not None:
                raise NodeUnfit(f"it has no Python at {recipe.base}, and {folder} cannot be written there")
            needs.insert(0, {"kind": "environment", "folder": recipe.base})
        return needs

    async def receive(self, need: dict[str, Any], digest: str, chunks: AsyncIterable[bytes]) -> None:
        """Store what was sent.

        Args:
            need: An object of `missing`.
            digest: Of a pack.
            chunks: Its bytes.

        Raises:
            StoreFull: The disk is full.
            StoreError: It cannot be stored, or is damaged.
        """
        if need["kind"] == "image":
            await load_image(need, self.folder, chunks)
        elif need["kind"] == "file":
            await self._receive_file(self._weights / need["id"], chunks)
        elif need["kind"] == "environment":
            await unpack_into(Path(need["folder"]), digest, chunks)
        else:
            (await self._builds.unpack(digest, chunks, size=need["size"])).release()

    async def _receive_file(self, path: Path, chunks: AsyncIterable[bytes]) -> None:
        temporary = path.with_name(f".{path.name}.part")
        try:
            with open(temporary, "wb", opener=open_private) as file:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)
            temporary.replace(path)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(f"no space for {path}") from error
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error
        finally:
            temporary.unlink(missing_ok=True)

    async def localize(self, launch: Launch, shipment: dict[str, Any]) -> tuple[Launch, HeldPack | None]:
        """Return a launch as it is on this node, once nothing is missing, and its files, to be released after it.

        Raises:
            StoreError: Something is missing again.
        """
        package = str(Path(bananastand.__file__).parent)
        if shipment.get("image") is not None:
            return Launch.from_json(_moved(launch.to_json(), shipment["package"], package)), None
        build = shipment["build"]
        held = await self._builds.unpack(build["digest"], _nothing())
        try:
            await asyncio.to_thread(self._lead, held.path, shipment)
        except BaseException:
            held.release()
            raise
        cache = str(Path(shipment["data"], *FRONT_CACHE))
        moves = {build["folder"]: held.path, cache: self._weights.parent, shipment["package"]: package}
        text = launch.to_json()
        for old, new in moves.items():
            text = _moved(text, old, str(new))
        local = Launch.from_json(text)
        python = self._pythons.get(launch.python, launch.python) if launch.python is not None else None
        return replace(local, python=python, named=launch.named), held

    def _lead(self, folder: Path, shipment: dict[str, Any]) -> None:
        """Lead the links of a build to the weights and to the files of the build on this node."""
        try:
            for file in shipment["files"]:
                os.utime(self._weights / file["id"])
                _lead(folder / file["link"], self._weights / file["id"])
            _redirect(folder, shipment["build"]["folder"])
        except OSError as error:
            raise StoreError(f"{folder} cannot be used: {error.strerror}") from error


async def _nothing() -> AsyncGenerator[bytes]:
    for chunk in list[bytes]():
        yield chunk


def _moved(text: str, old: str, new: str) -> str:
    """Return the JSON of a launch with paths at and below a folder led to another one."""
    old, new = json.dumps(old)[1:-1], json.dumps(new)[1:-1]
    for end in ("/", '"', ":"):
        text = text.replace(f"{old}{end}", f"{new}{end}")
    return text


def _lead(link: Path, target: Path) -> None:
    """Make a link of a build lead to a file of this node."""
    with suppress(FileNotFoundError):
        if os.readlink(link) == str(target):
            return
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def _redirect(folder: Path, earlier: str) -> None:
    """Lead links to other files of the build to where they are on this node, once."""
    marker = folder / LED
    if marker.exists():
        return
    for link in _links(folder):
        target = os.readlink(link)
        if target.startswith(f"{earlier}/"):
            _lead(Path(link), Path(f"{folder}{target[len(earlier) :]}"))
    marker.touch()


def _links(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        yield from (path for name in (*folders, *names) if os.path.islink(path := f"{place}/{name}"))


def _unwritable_parent(path: Path) -> str | None:
    """Return the first existing folder above a path if it cannot be written; None if it can."""
    parent = next(folder for folder in path.parents if folder.is_dir())
    return None if os.access(parent, os.W_OK | os.X_OK) else str(parent)
