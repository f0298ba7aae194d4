"""Container images on nodes: pulled by digest where a registry has them, else copied from the front's engine."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

from bananastand.platform.building.commands import output
from bananastand.platform.errors import StoreError
from bananastand.platform.store.blobs import cannot_write
from bananastand.platform.store.private_files import open_private

__all__ = ["EngineMissing", "describe_image", "has_image", "load_image", "save_image"]

PATIENCE = 1800.0  # seconds for an engine to copy an image


class EngineMissing(Exception):
    """A node lacks the engine of a version's containers; the message says what to do."""


async def describe_image(engine: str, name: str) -> dict[str, Any]:
    """Return an image's id and digests in registries, as a JSON object. Raises StoreError."""
    found = await _inspect(engine, name)
    if found is None:
        raise StoreError(f"{engine} has no image {name} any more: deploy the version again")
    return {"engine": engine, "name": name, "id": found["id"], "digests": found["digests"]}


async def has_image(image: dict[str, Any]) -> bool:
    """Return whether this node has an image; it is pulled by digest where that works.

    Args:
        image: `describe_image`'s.

    Raises:
        EngineMissing: The node has no such engine.
    """
    engine = image["engine"]
    if shutil.which(engine) is None:
        raise EngineMissing(f"it has no {engine}: install it there, or deploy with --builder process")
    if (found := await _inspect(engine, image["name"])) is not None and found["id"] == image["id"]:
        return True
    for digest in image["digests"]:
        status, _ = await output([engine, "pull", digest], seconds=PATIENCE)
        if status == 0:
            await output([engine, "tag", digest, image["name"]], seconds=60)
            return True
    return False


async def save_image(image: dict[str, Any], file: Path) -> None:
    """Write an image of this machine's engine to a file. Raises StoreError."""
    engine, name = image["engine"], image["name"]
    if engine == "buildah":
        command = [engine, "push", name, f"docker-archive:{file}:{name}"]
    else:
        command = [engine, "save", "--output", str(file), name]
    status, text = await output(command, seconds=PATIENCE)
    if status:
        raise StoreError(f"{engine} cannot save {name}: {_last(text)}")


async def load_image(image: dict[str, Any], folder: Path, chunks: AsyncIterable[bytes]) -> None:
    """Give an image that was saved to this node's engine.

    Args:
        image: `describe_image`'s.
        folder: Where the image lies meanwhile.
        chunks: Its bytes.

    Raises:
        StoreFull: The disk is full.
        StoreError: The engine does not take it.
    """
    spool, engine = folder / f".{uuid.uuid4().hex}.image", image["engine"]
    try:
        with open(spool, "wb", opener=open_private) as file:
            async for chunk in chunks:
                file.write(chunk)
        source = f"docker-archive:{spool}"
        command = [engine, "pull", source] if engine == "buildah" else [engine, "load", "--input", str(spool)]
        status, text = await output(command, seconds=PATIENCE)
        if status:
            raise StoreError(f"{engine} cannot load {image['name']}: {_last(text)}")
    except OSError as error:
        raise cannot_write(spool, error) from error
    finally:
        spool.unlink(missing_ok=True)


async def _inspect(engine: str, name: str) -> dict[str, Any] | None:
    arguments = ["inspect", "--type=image", name] if engine == "buildah" else ["image", "inspect", name]
    status, text = await output([engine, *arguments], seconds=60)
    try:
        about: Any = json.loads(text)
        about = about if isinstance(about, dict) else about[0]
        id = about.get("Id") or about["FromImageID"]
        digests = _buildah_digests(about, name) if engine == "buildah" else list(about.get("RepoDigests") or ())
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    return {"id": str(id).removeprefix("sha256:"), "digests": digests} if status == 0 else None


def _buildah_digests(about: dict[str, Any], name: str) -> list[str]:
    """Return the digest of an image's manifest, which is its registry's where the image was pulled from one."""
    if name.startswith("localhost/") or not about.get("FromImageDigest"):
        return []
    repository = re.sub(r":[\w.-]+$", "", name.partition("@")[0])
    return [f"{repository}@{about['FromImageDigest']}"]


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it says no reason"])[-1][:300]
