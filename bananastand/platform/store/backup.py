"""Backs up a data directory while it is in use, and restores backups.

A backup has the database, calls, sources, git repositories, logs and keys. What builds make of the sources is left out
and built again where it is missing. Source of the online copy: sqlite.org/backup.html.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
import zlib
from contextlib import closing, suppress
from pathlib import Path, PurePosixPath

from ..errors import Conflict, PlatformError, Refused, StoreError
from .database_guard import FILE as STARTS
from .database_guard import check_database
from .directory import lock_directory
from .identity import FILE as IDENTITY
from .private_files import make_folder, make_private, open_private
from .server_file import server_of

__all__ = ["back_up", "restore"]

DATABASE = "stand.sqlite"
FILES = ("stand.toml", "client.toml")
FOLDERS = ("git", "logs", "proxy", "modules")
CHANGING = ("bodies", "uploads")  # written before the row that names them: linked before and after the database
MANIFEST = "backup.json"
FORMAT = 1
BROKEN_BACKUP = (tarfile.TarError, zlib.error, sqlite3.Error)


def back_up(data: Path, to: Path) -> int:
    """Write a backup of a data directory, which may be in use.

    Args:
        data: The data directory.
        to: A new file.

    Returns:
        The file's size in bytes.

    Raises:
        PlatformError: There is no database, the file exists, or it cannot be written.
    """
    if (server := server_of(data)) is not None:
        raise Refused(
            f"the rows of {data} are in PostgreSQL, at {server}: back them up with pg_dump, and the folder with tar"
        )
    if not (data / DATABASE).exists():
        raise Refused(f"{data} has no database: name the directory of a platform with --data")
    if to.exists():
        raise Conflict(f"{to} is there already: name a new file")
    temporary = to.with_name(f".{to.name}.new")
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=data) as folder:
        staged = Path(folder)
        try:
            _link_all(data, staged, CHANGING)
            _copy_database(data / DATABASE, staged / DATABASE)
            _link_all(data, staged, (*CHANGING, *FOLDERS))
            for build in (data / "builds").glob("*/source"):
                _link_tree(build, staged / "builds" / build.parent.name / "source")
            for name in FILES:
                if (data / name).is_file():
                    shutil.copy2(data / name, staged / name)
            manifest = {"format": FORMAT, "folder": str(data), "made": time.time()}
            (staged / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
            with open(temporary, "wb", opener=open_private) as file:
                with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
                    for name in (MANIFEST, *sorted(entry for entry in os.listdir(staged) if entry != MANIFEST)):
                        tar.add(staged / name, arcname=name)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, to)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"the backup {to} cannot be written: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)
    return to.stat().st_size


def restore(file: Path, data: Path) -> str:
    """Restore a backup into a directory that has no database, or a damaged one, which is moved to a folder beside it.

    Args:
        file: The backup.
        data: The data directory.

    Returns:
        A sentence about what was restored.

    Raises:
        PlatformError: The directory has an intact database, or the file is no backup that this program can read.
    """
    lock = lock_directory(make_folder(data))
    try:
        return _restore(file, data)
    finally:
        os.close(lock)


def _restore(file: Path, data: Path) -> str:
    lost = ""
    if (server := server_of(data)) is not None:
        raise Refused(
            f"the rows of {data} are in PostgreSQL, at {server}: restore them with pg_restore, or name another "
            "directory with --data"
        )
    if (data / DATABASE).exists() or (data / STARTS).exists():
        if _is_intact(data):
            raise Conflict(f"{data} has a database that is whole: name an empty directory with --data, or move it away")
        lost = _move_aside(data)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=data) as folder:
        staged = Path(folder)
        try:
            _unpack(file, staged)
            manifest = json.loads((staged / MANIFEST).read_text(encoding="utf-8"))
            if manifest["format"] != FORMAT:
                raise Refused(
                    f"{file} is of format {manifest['format']}, and this program knows {FORMAT}: use a newer one"
                )
            starts = _check(staged / DATABASE)
        except (OSError, EOFError, ValueError, KeyError, TypeError, *BROKEN_BACKUP) as error:
            raise Refused(f"{file} is no backup that can be restored: {error}") from error
        for name in sorted(os.listdir(staged)):
            if name not in (MANIFEST, DATABASE):
                _move(staged / name, data / name)
        place = {"id": "00000000-0000-0000-0000-000000000000", "device": 0, "inode": 0, "folder": manifest["folder"]}
        _write(data / IDENTITY, place)  # the next start makes an identity for this directory, and mends its paths
        _write(data / STARTS, {"starts": starts, "stopped": True})
        (staged / DATABASE).replace(data / DATABASE)
    make_private(data)
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(manifest["made"]))
    return f"restored the backup of {when}" + (f"; what was left is in {lost}" if lost else "")


def _copy_database(path: Path, to: Path) -> None:
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=30.0)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target, pages=1000, sleep=0.01)
        target.execute("PRAGMA journal_mode = DELETE")


def _link_all(data: Path, staged: Path, names: tuple[str, ...]) -> None:
    for name in names:
        if (data / name).is_dir():
            _link_tree(data / name, staged / name)


def _link_tree(source: Path, target: Path) -> None:
    """Hard-link a folder's files into another folder, so that a file that is deleted meanwhile stays.

    Logs, which grow, are copied. Refs of a git repository come before its objects, which are only ever added.
    """
    for place, folders, names in os.walk(source):
        folders.sort(key=lambda name: (name == "objects", name))
        folders[:] = [name for name in folders if not name.startswith("tmp_objdir")]
        into = target / os.path.relpath(place, source)
        into.mkdir(parents=True, exist_ok=True)
        for name in sorted(names):
            if name.startswith(".") and name.endswith(".new"):
                continue
            with suppress(FileNotFoundError, FileExistsError):
                path = Path(place, name)
                if source.name == "logs":
                    shutil.copy2(path, into / name)
                else:
                    os.link(path, into / name, follow_symlinks=False)
        for name in folders:
            if os.path.islink(f"{place}/{name}"):
                with suppress(FileExistsError):
                    os.symlink(os.readlink(f"{place}/{name}"), into / name)


def _unpack(file: Path, into: Path) -> None:
    with tarfile.open(file, "r:*") as tar:
        links = list[tuple[Path, str]]()
        for member in tar:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts:
                raise ValueError(f"{member.name[:80]!r} leads out of it")
            place = into.joinpath(*name.parts)
            if member.isdir():
                make_folder(place)
            elif member.issym():
                links.append((place, member.linkname))
            elif member.isreg() or member.islnk():
                make_folder(place.parent)
                content = tar.extractfile(member)
                assert content is not None, "a regular file has content"
                with open(place, "wb", opener=open_private) as target:
                    shutil.copyfileobj(content, target)
                place.chmod(0o700 if member.mode & 0o100 else 0o600)
                os.utime(place, (member.mtime, member.mtime))
        for place, target in links:
            make_folder(place.parent)
            place.symlink_to(target)


def _check(path: Path) -> int:
    """Check a database and return the number of its last start. Raises sqlite3.Error, ValueError if it is damaged."""
    with closing(sqlite3.connect(path)) as connection:
        result = connection.execute("PRAGMA quick_check").fetchone()[0]
        if result != "ok":
            raise ValueError(f"its database is damaged: {result}")
        connection.execute("SELECT count(*) FROM projects").fetchone()
        row = connection.execute("SELECT value FROM facts WHERE name = 'starts'").fetchone()
        return int(row[0]) if row is not None else 0


def _is_intact(data: Path) -> bool:
    try:
        check_database(data)
        return _check(data / DATABASE) >= 0
    except (PlatformError, sqlite3.Error, ValueError):
        return False


def _move_aside(data: Path) -> str:
    folder = make_folder(data / f"lost-{time.strftime('%Y%m%d-%H%M%S')}")
    for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", STARTS):
        with suppress(FileNotFoundError):
            (data / name).rename(folder / name)
    return str(folder)


def _move(source: Path, target: Path) -> None:
    """Move a file or folder, replacing what is there; folders are merged."""
    if source.is_dir() and not source.is_symlink() and target.is_dir():
        for entry in sorted(source.iterdir()):
            _move(entry, target / entry.name)
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    os.replace(source, target)


def _write(path: Path, value: object) -> None:
    with open(path, "w", encoding="utf-8", opener=open_private) as file:
        json.dump(value, file)
