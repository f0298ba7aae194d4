"""Packs: archives of folders that are addressed by their content, to move builds and environments between machines.

A pack is a plain tar (POSIX pax). Equal folders make equal packs, whenever and by whomever they are packed: entries are
sorted, owners are left out, all files have one time. Only the owner of a folder's new copy can read it.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import os
import queue
import shutil
import stat
import sys
import tarfile
import uuid
from collections.abc import AsyncIterable, Collection, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from ..errors import StoreError
from .blobs import NO_SPACE, Blobs, cannot_write
from .private_files import open_private

__all__ = ["Pack", "Packs", "unpack_into", "write_pack"]

TIME = 946_684_800  # of all files, 2000-01-01: archives of zip, which apps write, have none before 1980
CHUNK = 2**20  # bytes that are read, hashed and written at once
ZEROS = bytes(CHUNK)
DEPTH = 4  # chunks that wait for the unpacker
ATTEMPTS = 3  # to pack a folder whose files change meanwhile
BYTECODE_HEADER = 16  # bytes of a .pyc file: magic number, flags, time and size of its source; PEP 552


@dataclass(frozen=True, slots=True)
class Pack:
    """A packed folder.

    Attributes:
        digest: SHA-256 of the archive in hexadecimal digits.
        size: Bytes of the archive.
    """

    digest: str
    size: int


class Packs:
    """The packs of a platform, by digest.

    Args:
        blobs: Where they are stored.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def pack(self, folder: Path, *, without: Collection[str] = ()) -> Pack:
        """Pack a folder and store the pack, unless the same one is stored already.

        Args:
            folder: The folder.
            without: Paths in the folder that are left out, with / between.

        Raises:
            StoreFull: There is no space; nothing is stored.
            StoreError: It cannot be stored, or the folder cannot be read.
        """
        spool = self._blobs.unfinished(uuid.uuid4().hex)
        try:
            pack = await asyncio.to_thread(_spool, folder, spool, frozenset(without))
            if await self._blobs.size(pack.digest) != pack.size:
                await self._blobs.adopt(pack.digest, spool)
            return pack
        finally:
            await asyncio.to_thread(spool.unlink, missing_ok=True)

    def open(self, digest: str) -> AsyncIterable[bytes]:
        """Return the bytes of a pack, in chunks of at most 1 MiB. They raise StoreError where there is no such pack."""
        return self._blobs.chunks(digest)

    async def remove(self, digest: str) -> None:
        """Delete a pack if it is stored. Raises StoreError."""
        await self._blobs.remove(digest)


def _spool(folder: Path, spool: Path, without: frozenset[str]) -> Pack:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with open(spool, "wb", opener=open_private) as file:
                return write_pack(folder, file, without=without)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise cannot_write(spool, error) from error
            if attempt == ATTEMPTS:  # else a file was deleted or became shorter meanwhile
                raise StoreError(f"{folder} cannot be packed: {error}") from error
    raise AssertionError("the last attempt returns or raises")


def write_pack(folder: Path, file: IO[bytes], *, without: Collection[str] = ()) -> Pack:
    """Write the pack of a folder to a file. Blocks.

    Symbolic links are packed as they are, and hard links between files of the folder as hard links. Sockets, pipes and
    devices are left out.

    Args:
        folder: The folder.
        file: Takes the archive.
        without: Paths in the folder that are left out, with / between.

    Raises:
        OSError: The folder cannot be read, a file of it became shorter meanwhile, or the archive cannot be written.
    """
    output, first_names = _HashingWriter(file), dict[tuple[int, int], str]()
    with tarfile.TarFile(
        fileobj=cast(Any, output), mode="w", format=tarfile.PAX_FORMAT, copybufsize=CHUNK, encoding="utf-8"
    ) as tar:
        for name, path in _entries(folder, "", without):
            about = path.lstat()
            member = tarfile.TarInfo(name)
            member.mode, member.mtime = stat.S_IMODE(about.st_mode) & 0o777, TIME
            if stat.S_ISDIR(about.st_mode):
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            elif stat.S_ISLNK(about.st_mode):
                member.type, member.linkname, member.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
                tar.addfile(member)
            elif stat.S_ISREG(about.st_mode):
                first = first_names.setdefault((about.st_dev, about.st_ino), name)
                if about.st_nlink > 1 and first != name:
                    member.type, member.linkname = tarfile.LNKTYPE, first
                    tar.addfile(member)
                else:
                    _add_content(tar, member, path)
    return Pack(output.digest.hexdigest(), output.size)


def _entries(folder: Path, prefix: str, without: Collection[str]) -> Iterator[tuple[str, Path]]:
    """Yield the name in the pack and the path of everything in a folder, folders before what is in them."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if name not in without:
            yield name, Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path), f"{name}/", without)


def _add_content(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    with open(path, "rb") as content:
        member.size = os.fstat(content.fileno()).st_size
        head = content.read(BYTECODE_HEADER) if path.suffix == ".pyc" else b""
        tar.addfile(member, cast(Any, _Joined(_as_packed(head, path), content)))


def _as_packed(head: bytes, path: Path) -> bytes:
    """Return the header of a .pyc file with its source's time in the pack, or Python would compile the source again."""
    if len(head) < BYTECODE_HEADER or path.parent.name != "__pycache__" or head[4:8] != bytes(4):
        return head
    with suppress(OSError):
        about = (path.parent.parent / f"{path.name.partition('.')[0]}.py").stat()
        recorded = tuple(int.from_bytes(head[at : at + 4], "little") for at in (8, 12))
        if recorded == (int(about.st_mtime) & 0xFFFFFFFF, about.st_size & 0xFFFFFFFF):
            return head[:8] + TIME.to_bytes(4, "little") + head[12:]
    return head


class _Joined:
    """Reads some bytes, then a file."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int) -> bytes:
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            return head + self._rest.read(size - len(head))
        return self._rest.read(size)


class _HashingWriter:
    """Passes bytes to a file, counts and hashes them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.size, self.digest = file, 0, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self._file.write(content)
        self.digest.update(content)
        self.size += len(content)
        return len(content)

    def tell(self) -> int:
        return self.size


async def unpack_into(folder: Path, digest: str, chunks: AsyncIterable[bytes]) -> int:
    """Unpack a pack into a new folder, which is complete or does not appear, and survives a power cut.

    Nothing is written outside of the folder, or through a link; links themselves may lead anywhere, as those of an
    environment to its interpreter do.

    Args:
        folder: The new folder. An unfinished copy lies beside it, under its name with a dot before it and .part behind.
        digest: The pack's, which is checked.
        chunks: The pack's bytes.

    Returns:
        The bytes of its files.

    Raises:
        StoreFull: There is no space for it.
        StoreError: It is damaged, incomplete or no pack, or cannot be written.
    """
    staging = folder.with_name(f".{folder.name}.part")
    reader = _ChunkReader(asyncio.get_running_loop())
    unpacking = asyncio.create_task(asyncio.to_thread(_unpack, reader, digest, staging, folder))
    try:
        await reader.feed(chunks)
        return await asyncio.shield(unpacking)
    except BaseException:
        reader.abort()
        await asyncio.wait({unpacking})
        unpacking.exception()  # what is raised here comes first
        raise


def _unpack(reader: _ChunkReader, digest: str, staging: Path, folder: Path) -> int:
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700, parents=True)
        size = _extract(reader, staging)
        while reader.read(CHUNK):
            pass
        if reader.aborted:
            raise StoreError(f"the pack {digest} broke off")
        if (actual := reader.digest.hexdigest()) != digest:
            raise StoreError(f"the pack {digest} is damaged or incomplete: its content has the digest {actual}")
        _sync(staging)
        staging.rename(folder)
        _sync(folder.parent)
        return size
    except tarfile.TarError as error:
        raise StoreError(f"the pack {digest} is damaged, incomplete or no pack: {error}") from error
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        reader.close()


def _extract(reader: _ChunkReader, folder: Path) -> int:
    """Extract everything, symbolic links last, so that nothing is written through one; return the bytes of files."""
    links, size = list[tarfile.TarInfo](), 0
    with tarfile.open(fileobj=cast(Any, reader), mode="r|", bufsize=CHUNK, encoding="utf-8") as tar:
        for member in tar:
            if member.issym():
                links.append(member)
                continue
            allowed = tarfile.data_filter(member, str(folder))
            path = folder / allowed.name
            if member.isdir():
                path.mkdir(mode=0o700, exist_ok=True)
                path.chmod(member.mode & 0o755 | 0o700)
            elif member.islnk():
                os.link(folder / allowed.linkname, path, follow_symlinks=False)
            elif member.isreg():
                size += member.size
                _write_file(path, tar, member)
            else:
                raise tarfile.ReadError(f"{member.name[:80]!r} is no file, folder or link")
    for member in links:
        place = copy(member)
        place.type = tarfile.REGTYPE
        path = folder / tarfile.data_filter(place, str(folder)).name
        path.symlink_to(member.linkname)
    return size


def _write_file(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    content = tar.extractfile(member)
    assert content is not None, "a regular file has content"
    with open(path, "xb", opener=open_private) as file:
        while piece := content.read(CHUNK):
            if piece == ZEROS[: len(piece)]:
                file.seek(len(piece), os.SEEK_CUR)  # a hole, which takes no space
            else:
                file.write(piece)
        file.truncate(member.size)
        file.flush()
        os.fchmod(file.fileno(), member.mode & 0o755 | 0o600)
        os.utime(file.fileno(), (TIME, TIME))


def _sync(folder: Path) -> None:
    """Make everything on a folder's file system durable: faster than one call for each of many small files."""
    if sys.platform != "linux":
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(descriptor)


class _ChunkReader:
    """A file for a thread that reads what an event loop receives; few chunks wait, and everything is hashed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._room = loop, asyncio.Semaphore(DEPTH)
        self._chunks = queue.SimpleQueue[bytes | None]()
        self._buffer, self._ended, self._is_closed = b"", False, False
        self.aborted, self.digest = False, hashlib.sha256()

    async def feed(self, chunks: AsyncIterable[bytes]) -> None:
        """Pass on all chunks, until the reader has closed."""
        async for chunk in chunks:
            await self._room.acquire()
            if self._is_closed:
                return
            if chunk:
                self._chunks.put(chunk)
        self._chunks.put(None)

    def abort(self) -> None:
        """End the reader's content here."""
        self.aborted = True
        self._chunks.put(None)

    def close(self) -> None:
        """Take no more; called by the thread."""
        self._is_closed = True
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._room.release)

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; none at the end."""
        if not self._buffer and not self._ended:
            chunk = self._chunks.get()
            self._loop.call_soon_threadsafe(self._room.release)
            if chunk is None:
                self._ended = True
                return b""
            self.digest.update(chunk)
            self._buffer = chunk
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        return piece
