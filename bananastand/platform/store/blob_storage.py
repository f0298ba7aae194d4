"""Where a platform's large files lie: in its data directory, or in a store that several machines share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ..errors import Refused
from .blobs import Blobs, without_password
from .private_files import make_folder

if TYPE_CHECKING:
    from .object_store import ObjectStore

__all__ = ["BlobStorage"]

DAY = 86_400.0


class BlobStorage:
    """The blobs of one platform, by kind.

    Args:
        data: The data directory.
        url: Of the store, such as s3://bucket/folder; None for the data directory itself.
        platform: The id of the platform, whose files are below a folder of this name in a shared store.
        keep_results: Seconds for which results are kept.

    Attributes:
        bodies: Requests and answers of calls.
        uploads: Archives that wait for their build.
        packs: Packs of builds; None in a data directory, where the builds themselves are.

    Raises:
        Refused: The URL cannot be used as it is.
    """

    def __init__(self, data: Path, url: str | None, platform: str, keep_results: float) -> None:
        self._objects: ObjectStore | None = None
        self.packs: Blobs | None = None
        age = keep_results + DAY  # of what nobody knows: no call is as old, on whichever machine
        if url is None:
            self.bodies, self.uploads = Blobs(data / "bodies"), Blobs(data / "uploads")
        elif (folder := _folder_of(url)) is not None:
            try:
                shared = make_folder(folder / platform)
                self.bodies, self.uploads, self.packs = (
                    Blobs(shared / kind, age=age) for kind in ("bodies", "uploads", "packs")
                )
            except OSError as error:
                raise Refused(f"--blobs {url}: {folder} cannot be used: {error.strerror}") from error
        else:
            from .object_store import ObjectStore
            from .remote_blobs import RemoteBlobs

            self._objects = store = ObjectStore(url, platform)
            self.bodies = RemoteBlobs(data / "bodies", store, "bodies/", start="call_", age=age)
            self.uploads = RemoteBlobs(data / "uploads", store, "uploads/", age=age)
            self.packs = RemoteBlobs(data / "cache" / "packs", store, "packs/", copies=False, age=age)

    async def check(self) -> None:
        """Write to a shared store, and read. Raises StoreError with the reason if it cannot be used."""
        if self._objects is not None:
            await self._objects.check()

    async def close(self) -> None:
        """Finish what goes on in the background, and close the connections."""
        for blobs in (self.bodies, self.uploads, self.packs):
            if blobs is not None:
                await blobs.close()
        if self._objects is not None:
            await self._objects.close()


def _folder_of(url: str) -> Path | None:
    """Return the folder that a URL names; None for another kind of store. Raises Refused."""
    if "://" not in url:
        place = url.rpartition("@")[2]
        raise Refused(f"--blobs takes a URL, such as s3://bucket/folder or file:///srv/blobs, not {place}")
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    if parts.netloc or not parts.path.startswith("/"):
        raise Refused(
            f"--blobs {without_password(url)}: a folder's URL has three slashes and an absolute path: file:///srv/blobs"
        )
    if "\0" in (path := unquote(parts.path)):
        raise Refused(f"--blobs {url}: the path has a NUL character")
    return Path(path)
