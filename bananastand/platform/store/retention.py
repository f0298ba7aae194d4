"""Selects what can be deleted from a data directory: by owner, count, age and a size budget.

Live versions, running ones and those being built are never selected.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..settings import Settings
from .builds import FINAL_STATES, Build
from .disk_usage import size_of

__all__ = ["Inventory", "Expendable", "calls_with_files", "expendable", "over_budget"]

RECENT = 3600.0  # seconds in which a file without a row may be about to get one


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the database and the running platform know.

    Attributes:
        builds: All builds, newest first.
        in_use: Ids of builds that are live, running or not finished.
        projects: Names by id.
        calls: The ids of those that have files.
        idle: Whether no build runs, so that caches may be deleted.
    """

    builds: tuple[Build, ...]
    in_use: frozenset[str]
    projects: Mapping[str, str]
    calls: Collection[str]
    idle: bool


@dataclass(frozen=True, slots=True)
class Expendable:
    """Something to delete.

    Attributes:
        kind: Such as "failed build".
        path: The file or folder.
        reason: Why it can be deleted.
        size: Bytes on disk.
        build: The build whose row is deleted too, if any.
    """

    kind: str
    path: Path
    reason: str
    size: int
    build: Build | None = None


def expendable(data: Path, known: Inventory, settings: Settings, now: float | None = None) -> list[Expendable]:
    """Return what is deleted however much space is free. Blocks while it reads the disk.

    Args:
        data: The data directory.
        known: What is in use.
        settings: How long things are kept.
        now: Seconds since 1970; None for the current time.
    """
    now = time.time() if now is None else now
    old: Callable[[Path], bool] = lambda path: _age(path, now) > RECENT  # noqa: E731
    items = [*_builds(data, known, settings, now, old), *_git(data, known, old), *_uploads(data, known, old)]
    items += [*_logs(data, known, old), *_bodies(data, known, old)]
    if known.idle:
        items += _cache(data, settings, now)
    return items


def over_budget(
    data: Path, known: Inventory, settings: Settings, taken: int, selected: Iterable[Expendable]
) -> list[Expendable]:
    """Return what is deleted beyond that, until the directory is within its budget.

    Packages first, which can be downloaded again; then results of RUN lines and environments that no version uses, the
    oldest first; then versions that are not live, the oldest first.

    Args:
        data: The data directory.
        known: What is in use.
        settings: Its `disk_budget` in bytes; None for no limit.
        taken: Bytes that the directory has now.
        selected: What is deleted anyway.
    """
    if settings.disk_budget is None:
        return []
    remaining, paths = taken - sum(item.size for item in selected), {item.path for item in selected}
    reason = f"the directory takes more than {settings.disk_budget / 2**30:g} GiB"
    items = list[Expendable]()
    for kind, path, build in _by_value(data, known):
        if remaining <= settings.disk_budget:
            break
        if path not in paths and path.exists():
            items.append(Expendable(kind, path, reason, size_of(path), build))
            remaining -= items[-1].size
    return items


def _by_value(data: Path, known: Inventory) -> Iterator[tuple[str, Path, Build | None]]:
    if known.idle:
        yield "packages", data / "cache" / "packages", None
        for path in _oldest(data / "cache" / "layers"):
            yield "RUN result", path, None
        for path in _oldest(data / "cache" / "environments"):
            if path.is_dir() and not _has_users(path):
                yield "environment", path, None
    for build in reversed(known.builds):
        if build.id not in known.in_use and build.state in FINAL_STATES:
            yield "old version", data / "builds" / build.id, build


def _builds(
    data: Path, known: Inventory, settings: Settings, now: float, old: Callable[[Path], bool]
) -> Iterator[Expendable]:
    ids, counted = {build.id for build in known.builds}, dict[tuple[str, bool], int]()
    for folder in _entries(data / "builds"):
        if folder.name not in ids and old(folder):
            yield Expendable("build", folder, "no project has it", size_of(folder))
    for build in known.builds:
        if build.id in known.in_use or build.state not in FINAL_STATES:
            continue
        works, ended, folder = build.state == "live", build.finished or build.created, data / "builds" / build.id
        count = counted[build.project_id, works] = counted.get((build.project_id, works), 0) + 1
        if works and count > settings.builds_kept:
            yield Expendable(
                "old version", folder, f"{settings.builds_kept} newer ones are kept", size_of(folder), build
            )
        elif not works and (count > settings.failed_kept or now - ended > settings.failed_age):
            yield Expendable("failed build", folder, "old", size_of(folder), build)
        elif not works and folder.exists() and now - ended > settings.failed_files:
            yield Expendable("failed build's files", folder, "its log stays", size_of(folder))


def _git(data: Path, known: Inventory, old: Callable[[Path], bool]) -> Iterator[Expendable]:
    names = set(known.projects.values())
    for path in _entries(data / "git"):
        if path.suffix == ".git" and path.stem not in names and old(path):
            yield Expendable("git repository", path, f"there is no project {path.stem}", size_of(path))
    for path in _entries(data / "git" / "checkouts"):
        if old(path):
            yield Expendable("checkout", path, "its build has it", size_of(path))


def _uploads(data: Path, known: Inventory, old: Callable[[Path], bool]) -> Iterator[Expendable]:
    waiting = {build.id for build in known.builds if build.state not in FINAL_STATES}
    for path in _entries(data / "uploads"):
        if path.name.partition(".")[0] not in waiting and old(path):
            yield Expendable("upload", path, "no build waits for it", size_of(path))


def _logs(data: Path, known: Inventory, old: Callable[[Path], bool]) -> Iterator[Expendable]:
    names = {f"build-{build.id}" for build in known.builds} | {f"project-{id}" for id in known.projects}
    for path in _entries(data / "logs"):
        if path.name.partition(".")[0] not in names and old(path):
            yield Expendable("log", path, "what it is of is gone", size_of(path))
    for path in _entries(data / "modules"):
        if path.stem not in {build.id for build in known.builds} and old(path):
            yield Expendable("list of modules", path, "its version is gone", size_of(path))


def _bodies(data: Path, known: Inventory, old: Callable[[Path], bool]) -> Iterator[Expendable]:
    for path in _entries(data / "bodies"):
        if _call_of(path) not in known.calls and old(path):
            yield Expendable("body", path, "its call is gone", size_of(path))


def calls_with_files(data: Path) -> list[str]:
    """Return the ids of the calls that files name. Blocks while it reads the disk."""
    return sorted({_call_of(path) for path in _entries(data / "bodies")})


def _call_of(path: Path) -> str:
    return path.name.lstrip(".").partition(".")[0]


def _cache(data: Path, settings: Settings, now: float) -> Iterator[Expendable]:
    for path in _entries(data / "cache" / "environments"):
        if path.is_dir() and not _has_users(path) and _age(path / ".bananastand", now) > settings.cache_age:
            yield Expendable("environment", path, "no version uses it", size_of(path))
    for path in _entries(data / "cache" / "layers"):
        if path.is_dir() and _age(path / "layer.json", now) > settings.cache_age:
            yield Expendable("RUN result", path, "not used for long", size_of(path))


def _has_users(environment: Path) -> bool:
    """Return whether an existing build uses an environment; its list of builds is written once it is complete."""
    try:
        users = (environment / ".bananastand").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(Path(user).exists() for user in users)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _oldest(folder: Path) -> list[Path]:
    return sorted(_entries(folder), key=lambda path: -_age(path, time.time()))


def _age(path: Path, now: float) -> float:
    """Return the seconds since a file was last written; 0 for one that is deleted already."""
    try:
        return now - path.lstat().st_mtime
    except OSError:
        return 0.0
