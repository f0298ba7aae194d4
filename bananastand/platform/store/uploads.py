"""Archives that wait for their build: in the data directory, and in a shared store where there is one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from .blobs import Blobs, write_chunks

__all__ = ["Uploads"]


class Uploads:
    """The archives of a platform, by the ids of their builds.

    Args:
        folder: On this machine.
        blobs: The store.
    """

    def __init__(self, folder: Path, blobs: Blobs) -> None:
        self._folder, self._blobs = folder, blobs
        self._storing: dict[str, asyncio.Task[None]] = {}

    def path(self, build: str) -> Path:
        """Return where a build reads its archive."""
        return self._folder / f"{build}.tar.gz"

    def store(self, build: str) -> None:
        """Begin to copy a build's archive, which lies on this machine, into the shared store."""
        if self._blobs.is_shared:
            self._storing[build] = asyncio.create_task(self._blobs.add(self.path(build).name, self.path(build)))

    async def stored(self, build: str) -> None:
        """Wait until that is done. Raises StoreFull, StoreError."""
        if (storing := self._storing.get(build)) is not None:
            await asyncio.shield(storing)

    async def fetch(self, build: str) -> None:
        """Have a build's archive on this machine, and in the shared store. Raises StoreFull, StoreError."""
        await self.stored(build)
        if self._blobs.is_shared and not self.path(build).exists():
            await write_chunks(self._blobs.chunks(self.path(build).name), self.path(build))

    async def remove(self, build: str) -> None:
        """Delete a build's archive if there is one."""
        self.path(build).unlink(missing_ok=True)
        if (storing := self._storing.pop(build, None)) is not None:
            storing.cancel()
            await asyncio.wait({storing})
        if self._blobs.is_shared:
            await self._blobs.remove(self.path(build).name)
