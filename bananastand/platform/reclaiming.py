"""Frees disk space: deletes what `retention` selects, at the start, every hour, and on request."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .building.environments.environment_cache import remove_environment
from .errors import PlatformError
from .http.git_wire import exit_status
from .store.builds import FINAL_STATES, Build
from .store.disk_usage import Part, parts_of
from .store.retention import Expendable, Inventory, calls_with_files, expendable, over_budget

if TYPE_CHECKING:
    from .platform import Platform
    from .store.projects import Project

__all__ = ["disk_of", "prune", "prune_regularly", "remove_project_files"]

BATCH = 500  # calls that are looked up at once
INTERVAL = 3600.0  # seconds between two prunes
UNREACHABLE = "1.day.ago"  # a push may be about to point to younger objects


async def prune(platform: Platform, *, dry_run: bool = False) -> list[Expendable]:
    """Delete what nobody needs any more.

    Args:
        platform: The platform.
        dry_run: Whether to delete nothing.

    Returns:
        What was deleted, or would be.
    """
    data, settings = platform.settings.data, platform.settings
    known = await _known(platform)
    items = await asyncio.to_thread(expendable, data, known, settings)
    if settings.disk_budget is not None:
        parts, _ = await asyncio.to_thread(parts_of, data)
        taken = sum(part.size for part in parts)
        items += await asyncio.to_thread(over_budget, data, known, settings, taken, items)
    if dry_run:
        return items
    deleted = list[Expendable]()
    for item in items:
        if item.build is not None:
            if item.build.id in _in_use(platform, platform.builds.list()):  # it has come into use meanwhile
                continue
            await platform.deployer.forget(item.build)
        else:
            await asyncio.to_thread(_remove, item.path)
        deleted.append(item)
    if platform.build_packs is not None:
        versions = {build.id for build in platform.builds.list()}
        await platform.build_packs.sweep(versions, settings.keep_results)
    for repository in sorted((data / "git").glob("*.git")):
        await exit_status("gc", "--quiet", f"--prune={UNREACHABLE}", at=repository)
    return deleted


async def prune_regularly(platform: Platform) -> None:
    """Prune now, and then every hour, until cancelled."""
    while True:
        with suppress(PlatformError, OSError):
            await prune(platform)
        await asyncio.sleep(INTERVAL)


async def disk_of(platform: Platform) -> tuple[list[Part], int, list[Expendable]]:
    """Return the parts of the data directory with their sizes, its disk's free bytes, and what a prune would delete."""
    parts, free = await asyncio.to_thread(parts_of, platform.settings.data)
    return parts, free, await prune(platform, dry_run=True)


async def remove_project_files(platform: Platform, project: Project) -> None:
    """Delete the files of a project's calls and its git repository, before its rows are deleted."""
    calls = await platform.calls.ids(project)
    await platform.blobs.bodies.remove_all(f"{id}.{kind}" for id in calls for kind in ("body", "answer"))
    await asyncio.to_thread(_remove, platform.settings.data / "git" / f"{project.name}.git")


async def _known(platform: Platform) -> Inventory:
    builds = tuple(platform.builds.list())
    named, calls = await asyncio.to_thread(calls_with_files, platform.settings.data), set[str]()
    for at in range(0, len(named), BATCH):
        calls.update(await platform.calls.existing(named[at : at + BATCH]))
    names = {project.id: project.name for project in platform.projects.list()}
    idle = all(build.state in FINAL_STATES for build in builds)
    return Inventory(builds, _in_use(platform, builds), names, calls, idle=idle)


def _in_use(platform: Platform, builds: Iterable[Build]) -> frozenset[str]:
    """Return the ids of the builds that are live, running or not finished."""
    in_use = {build.id for build in builds if build.state not in FINAL_STATES}
    in_use |= {project.live for project in platform.projects.list() if project.live}
    return frozenset(in_use | {replica.deployment.id for replica in platform.pool.replicas.values()})


def _remove(path: Path) -> None:
    if path.parent.name == "environments":
        remove_environment(path)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
