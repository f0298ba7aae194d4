"""Unpacks an untrusted tar: plain files and folders inside of the target, within limits."""

from __future__ import annotations

import os
import shutil
import tarfile
import time
import zlib
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from ..errors import SourceRefused

__all__ = ["unpack"]

LONGEST_HEADER = 2**20  # bytes; tarfile reads the headers of long names into memory, whole
DEEPEST = 64
LONGEST_NAME = 1024


class _Member(tarfile.TarInfo):
    """A member with a limited header, so that it cannot fill the memory."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        plain = self.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
        if not plain and self.size > LONGEST_HEADER:
            raise SourceRefused(f"the archive has a header of {self.size} bytes")
        return super()._proc_member(tar)  # type: ignore[misc]


def unpack(archive: Path, into: Path, *, largest: int, most_files: int) -> None:
    """Unpack a tar that is uncompressed or compressed by gzip, bzip2 or xz.

    Symbolic links are made once all files exist, so that none is written through one. Links that lead out of the folder
    are refused, and so are hard links and files written through existing links.

    Raises:
        SourceRefused: What was unpacked so far stays.
    """
    size = count = 0
    links = list[tuple[Path, str]]()
    try:
        with tarfile.open(archive, "r|*", tarinfo=_Member) as tar:
            for member in tar:
                count, size = count + 1, size + member.size
                if count > most_files:
                    raise SourceRefused(f"the archive has more than {most_files} files")
                if size > largest:
                    raise SourceRefused(f"the archive holds more than {largest} bytes")
                if member.issym():
                    links.append((_target(member, into), member.linkname))
                else:
                    _take(tar, member, into)
        for place, points in links:
            _link(place, points, into)
    except (tarfile.TarError, zlib.error, LZMAError, EOFError) as error:
        raise SourceRefused(f"the archive cannot be read: {error}") from None
    except (OSError, UnicodeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise SourceRefused(f"the archive cannot be unpacked: {reason}") from None


def _target(member: tarfile.TarInfo, into: Path) -> Path:
    """Return where a member goes. Raises SourceRefused for a place outside of the folder."""
    name, label = PurePosixPath(member.name), member.name[:80]
    if name.is_absolute() or ".." in name.parts or "\0" in member.name or "\\" in member.name:
        raise SourceRefused(f"the archive's {label!r} leads outside of it")
    if len(member.name) > LONGEST_NAME or len(name.parts) > DEEPEST:
        raise SourceRefused(f"the archive's {label!r} is too long a name")
    target = into.joinpath(*name.parts)
    if target != into and not target.parent.resolve().is_relative_to(into.resolve()):
        raise SourceRefused(f"the archive's {label!r} leads outside of it, through a link")
    return target


def _link(place: Path, points: str, into: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.parent.resolve().is_relative_to(into.resolve()):
        raise SourceRefused(f"the archive's {str(place.relative_to(into))[:80]!r} leads outside of it, through a link")
    if place.is_symlink() or place.is_file():
        place.unlink()
    place.symlink_to(points)
    if os.path.isabs(points) or not _leads_in(place, into):
        place.unlink()
        raise SourceRefused(
            f"the archive's {str(place.relative_to(into))[:80]!r} is a link to {points[:200]}, which is outside of it"
        )


def _leads_in(place: Path, into: Path) -> bool:
    try:
        return place.resolve().is_relative_to(into.resolve())
    except (OSError, RuntimeError):  # a circle
        return False


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    target, label = _target(member, into), member.name[:80]
    if member.islnk():
        raise SourceRefused(f"the archive's {label!r} is a hard link; archive what it points to instead")
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    if not member.isreg() or member.issparse():
        raise SourceRefused(f"the archive's {label!r} is no plain file")
    target.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    assert content is not None
    if target.is_symlink():
        target.unlink()
    with target.open("wb") as file:
        shutil.copyfileobj(content, file)
    target.chmod(0o700 if member.mode & 0o100 else 0o600)
    if 0 < member.mtime < time.time():  # by which a build tells of which time the source is
        os.utime(target, (member.mtime, member.mtime))
