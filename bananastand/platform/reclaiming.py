"""Gives disk room back: removes what `retention` finds, at the start, regularly, and when it is asked to."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from .building.environments.environment_cache import remove_environment
from .errors import PlatformError
from .http.git_wire import status_of
from .store import tables
from .store.builds import OVER
from .store.disk_usage import Part, parts_of
from .store.retention import Item, Known, needless, over_budget

if TYPE_CHECKING:
    from .platform import Platform
    from .store.projects import Project

__all__ = ["disk_of", "forget_project", "prune", "prune_regularly"]

EVERY = 3600.0  # seconds
UNREACHABLE = "1.day.ago"  # git keeps objects that a push may be about to point to


async def prune(stand: Platform, *, dry_run: bool = False) -> list[Item]:
    """Remove what nobody needs; what was removed, or would be."""
    data, settings = stand.settings.data, stand.settings
    known = _known(stand)
    items = await asyncio.to_thread(needless, data, known, settings)
    if settings.disk_budget is not None:
        parts, _ = await asyncio.to_thread(parts_of, data)
        taken = sum(each.size for each in parts)
        items += await asyncio.to_thread(over_budget, data, known, settings, taken, items)
    if dry_run:
        return items
    done = list[Item]()
    for item in items:
        if item.build is not None:
            if item.build.id in _known(stand).in_use:  # since then
                continue
            await stand.deployer.forget(item.build)
        else:
            await asyncio.to_thread(_remove, item.path)
        done.append(item)
    for repository in sorted((data / "git").glob("*.git")):
        await status_of("gc", "--quiet", f"--prune={UNREACHABLE}", at=repository)
    return done


async def prune_regularly(stand: Platform) -> None:
    """At the start, and then every hour."""
    while True:
        with suppress(PlatformError, OSError):
            await prune(stand)
        await asyncio.sleep(EVERY)


async def disk_of(stand: Platform) -> tuple[list[Part], int, list[Item]]:
    """What the parts of the data directory take, what is free, and what a prune would remove."""
    parts, free = await asyncio.to_thread(parts_of, stand.settings.data)
    return parts, free, await prune(stand, dry_run=True)


async def forget_project(stand: Platform, project: Project) -> None:
    """Remove the files of a project's calls and its git repository, before its rows go."""
    table = tables.calls
    with stand.store.reading() as connection:
        calls = connection.scalars(select(table.c.id).where(table.c.project_id == project.id)).all()
    bodies = stand.settings.data / "bodies"
    await asyncio.to_thread(_remove_all, [bodies / f"{id}.{kind}" for id in calls for kind in ("body", "answer")])
    await asyncio.to_thread(_remove, stand.settings.data / "git" / f"{project.name}.git")


def _known(stand: Platform) -> Known:
    builds = tuple(stand.builds.list())
    in_use = {each.id for each in builds if each.state not in OVER}
    in_use |= {each.live for each in stand.projects.list() if each.live}
    in_use |= {each.deployment.id for each in stand.pool.replicas.values()}
    with stand.store.reading() as connection:
        calls = frozenset(connection.scalars(select(tables.calls.c.id)))
    projects = {each.id: each.name for each in stand.projects.list()}
    return Known(builds, frozenset(in_use), projects, calls, idle=all(each.state in OVER for each in builds))


def _remove_all(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.parent.name == "environments":
        remove_environment(path)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
