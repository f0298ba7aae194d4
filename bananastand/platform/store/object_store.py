"""An object store behind fsspec: objects by name, whole or not there, with retries, and never without an end.

fsspec runs on a thread of its own, so that the event loop signs, hashes and parses nothing.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from ..errors import Refused, StoreError, StoreFull, StoreUnavailable
from .blobs import NO_SPACE, BlobState, without_password

__all__ = ["ObjectStore"]

T = TypeVar("T")

CHUNK = 4 * 2**20  # bytes that are read at once
PART = 8 * 2**20  # bytes of a part of an upload to S3; twice as many are in memory
AT_ONCE = 16  # operations
PATIENCE = 30.0  # seconds for an operation with its retries, and for connecting
SLOWEST = 256 * 2**10  # bytes a second; a transfer that is slower fails
PAUSES = (0.2, 0.8, 3.2)  # seconds between the attempts
ANSWER = 10.0  # seconds in which S3 has to begin to answer
BATCH = 1000  # names in one request to delete
ATOMIC = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"}  # protocols whose objects appear when they are complete
# Errors that stay as they are if the same request is sent again.
FINAL_ERRNOS = {errno.EINVAL, errno.EPERM, errno.EACCES, errno.ENOSYS, getattr(errno, "EREMCHG", None)}
FINAL_NAMES = {"NoCredentialsError", "PartialCredentialsError", "ParamValidationError", "ProfileNotFound"}
FULL_CODES = {"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "507"}


class ObjectStore:
    """The objects below a URL.

    Args:
        url: Such as s3://bucket/folder, in a scheme of fsspec.
        folder: A folder below it, for the objects of one platform.

    Attributes:
        url: The URL with the folder, without a password, for messages.
        filters: Whether listing what begins with a prefix costs less than listing all.

    Raises:
        Refused: The scheme is unknown, or its package is not installed.
    """

    def __init__(self, url: str, folder: str) -> None:
        self.url = f"{without_password(url).rstrip('/')}/{folder}"
        try:
            from fsspec.core import url_to_fs
            from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

            protocol = url.partition("://")[0]
            self._is_s3, self._is_atomic = protocol in ("s3", "s3a"), protocol in ATOMIC
            files, root = url_to_fs(url, skip_instance_cache=True, **(_s3_options() if self._is_s3 else {}))
        except ImportError as error:
            raise Refused(
                f"--blobs {self.url}: {_text(error)}; pip install 'bananastand[blobs]' has fsspec and s3fs"
            ) from error
        except (ValueError, TypeError) as error:
            raise Refused(f"--blobs {self.url}: {_text(error)}") from error
        self._files: Any = files if files.async_impl else AsyncFileSystemWrapper(files, asynchronous=False)
        self.filters = self._is_s3
        if self._is_s3:
            self._files.retries = 1
        self._root = f"{str(root).rstrip('/')}/{folder}"
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def check(self) -> None:
        """Write, read and delete an object. Raises StoreError with the reason if the store cannot be used."""
        name = f"check-{time.time_ns()}"
        await self.put(name, b"bananastand")
        if b"".join([chunk async for chunk in self.chunks(name)]) != b"bananastand":
            raise StoreError(f"{self.url} does not return what was written to it")
        await self.remove([name])

    async def put(self, name: str, content: bytes) -> None:
        """Write an object. Raises StoreFull, StoreUnavailable, StoreError: then it is as it was before."""
        await self._write(name, lambda path: self._files._pipe_file(path, content, **self._parts()), len(content))

    async def put_file(self, name: str, file: Path) -> None:
        """Write an object with the content of a file. Raises StoreFull, StoreUnavailable, StoreError."""
        size = (await asyncio.to_thread(file.stat)).st_size
        await self._write(name, lambda path: self._files._put_file(str(file), path, **self._parts()), size)

    async def chunks(self, name: str) -> AsyncGenerator[bytes]:
        """Yield the content of an object. Raises StoreUnavailable, StoreError where there is none."""
        size, at = await self.size(name), 0
        if size is None:
            raise StoreError(f"{self.url} has no {name}")
        while at < size:
            end = min(size, at + CHUNK)
            chunk = await self._read(name, at, end)
            yield chunk
            at = end

    async def size(self, name: str) -> int | None:
        """Return the size of an object in bytes; None if there is none. Raises StoreUnavailable, StoreError."""
        try:
            about = await self._run(f"read {name}", lambda: self._files._info(self._path(name)))
        except FileNotFoundError:
            return None
        return int(about["size"])

    async def remove(self, names: Iterable[str]) -> None:
        """Delete objects, which need not exist. Raises StoreUnavailable, StoreError."""
        paths = [self._path(name) for name in names]
        for at in range(0, len(paths), BATCH):
            batch = paths[at : at + BATCH]
            if self._is_s3 and len(batch) > 1:
                await self._run("delete", lambda batch=batch: self._files._rm(batch))
                continue
            for path in batch:
                try:
                    await self._run("delete", lambda path=path: self._files._rm_file(path))
                except FileNotFoundError:
                    continue

    async def find(self, prefix: str) -> list[BlobState]:
        """Return the objects whose names begin with a prefix. Raises StoreUnavailable, StoreError."""
        folder, _, start = prefix.rpartition("/")
        place, now = self._path(folder).rstrip("/"), time.time()
        filtered = {"prefix": start} if self._is_s3 and start else {}
        try:
            found = await self._run(f"list {prefix}", lambda: self._files._find(place, detail=True, **filtered))
        except FileNotFoundError:
            return []
        objects = list[BlobState]()
        for path, about in found.items():
            name = str(path).partition(f"{self._root}/")[2]
            if name.startswith(prefix):
                objects.append(BlobState(name, int(about["size"]), max(0.0, now - _written(about, now))))
        return objects

    async def abort_uploads(self, prefix: str, age: float) -> None:
        """End uploads that killed processes have begun that long ago: S3 keeps their parts, and bills them."""
        if not self._is_s3:
            return
        bucket, _, start = self._path(prefix).lstrip("/").partition("/")
        answer = await self._run(
            "list uploads", lambda: self._files._call_s3("list_multipart_uploads", Bucket=bucket, Prefix=start)
        )
        for upload in answer.get("Uploads", ()):
            if time.time() - upload["Initiated"].timestamp() > age:
                await self._run("end an upload", lambda upload=upload: self._files._call_s3(
                    "abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                ))  # fmt: skip

    async def close(self) -> None:
        """Close the connections."""
        if self._is_s3 and self._files._s3 is not None:
            session, self._files._s3 = self._files._s3, None
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_close(session), self._files.loop))

    async def _write(self, name: str, write: Callable[[str], Coroutine[Any, Any, Any]], size: int) -> None:
        path = self._path(name)

        async def aside() -> None:
            """Write under another name first: a reader of this store could see a half."""
            new = f"{path}.{time.time_ns()}.new"
            await self._files._makedirs(path.rpartition("/")[0], exist_ok=True)
            try:
                await write(new)
                await self._files._mv(new, path)
            except BaseException:
                with suppress(Exception):
                    await self._files._rm_file(new)
                raise

        try:
            await self._run(f"write {name}", (lambda: write(path)) if self._is_atomic else aside, size)
        except FileNotFoundError as error:
            raise StoreError(f"{self.url} does not exist: {_text(error)}") from error

    async def _read(self, name: str, start: int, end: int) -> bytes:
        async def read() -> bytes:
            content: bytes = await self._files._cat_file(self._path(name), start=start, end=end)
            if len(content) != end - start:
                raise OSError(f"{len(content)} bytes came, and {end - start} were requested")
            return content

        try:
            return await self._run(f"read {name}", read, end - start)
        except FileNotFoundError:
            raise StoreError(f"{self.url} has no {name} any longer") from None

    async def _run(self, what: str, operation: Callable[[], Coroutine[Any, Any, T]], size: int = 0) -> T:
        """Run an operation on fsspec's thread, again after errors that may pass. Raises FileNotFoundError too."""
        limit, last = PATIENCE + size / SLOWEST, "it does not answer"
        try:
            async with asyncio.timeout(limit), self._slots:
                for pause in (*PAUSES, None):
                    try:
                        return await asyncio.wrap_future(
                            asyncio.run_coroutine_threadsafe(operation(), self._files.loop)
                        )
                    except FileNotFoundError:
                        raise
                    except Exception as error:
                        if _is_full(error):
                            raise StoreFull(f"{self.url} is full: free some space there; {_text(error)}") from error
                        if _is_final(error):
                            raise StoreError(f"{self.url} refuses to {what}: {_text(error)}") from error
                        last = _text(error)
                    if pause is not None:
                        await asyncio.sleep(pause)
        except TimeoutError:
            last = f"{last} (for {limit:.0f} s)"
        raise StoreUnavailable(f"{self.url} fails to {what}: {last}; see whether it can be reached, and try again")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _parts(self) -> dict[str, Any]:
        return {"chunksize": PART, "max_concurrency": 2} if self._is_s3 else {}


def _s3_options() -> dict[str, Any]:
    config = {"connect_timeout": ANSWER, "read_timeout": ANSWER, "retries": {"max_attempts": 0}}
    return {"use_listings_cache": False, "config_kwargs": config}


async def _close(session: Any) -> None:
    await session.__aexit__(None, None, None)


def _is_full(error: Exception) -> bool:
    response: Any = getattr(error.__cause__ or error, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    return getattr(error, "errno", None) in NO_SPACE or code in FULL_CODES


def _is_final(error: Exception) -> bool:
    if isinstance(error, PermissionError) or type(error).__name__ in FINAL_NAMES:
        return True
    return getattr(error, "errno", None) in FINAL_ERRNOS


def _text(error: Exception) -> str:
    return without_password(str(error)) or type(error).__name__


def _written(about: dict[str, Any], now: float) -> float:
    """Return when an object was written, in seconds since 1970, by the names that fsspec's file systems give it."""
    for name in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = about.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return now
