"""Builds live versions again whose files are gone, as after a restore, from their stored source."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..build_packs import is_missing
from ..errors import PlatformError
from ..store.directory import pack
from ..store.private_files import make_folder

if TYPE_CHECKING:
    from ..platform import Platform
    from ..store.builds import Build
    from ..store.projects import Project

__all__ = ["rebuild_missing"]


async def rebuild_missing(platform: Platform) -> list[str]:
    """Queue a build for each project whose live version has lost its files; return a sentence for each."""
    found = list[str]()
    for project in platform.projects.list():
        deployment = platform.builds.deployment(project.live) if project.live else None
        if deployment is None or not await asyncio.to_thread(is_missing, deployment.launch):
            continue
        build = platform.builds.get(deployment.id)
        try:
            if platform.build_packs is not None and await platform.build_packs.has(deployment.id):
                found.append(f"{project.name} has its files in the store of blobs: its first replica restores them")
                continue
            again = await _build_again(platform, project, build)
        except (PlatformError, OSError) as error:
            found.append(f"{project.name} has lost its files and cannot be built again: {error}")
            continue
        found.append(f"{project.name} has lost its files and is built again: {again}")
    return found


async def _build_again(platform: Platform, project: Project, build: Build) -> str:
    platform.projects.point(project, None)  # its calls wait for the build
    source, archive = platform.deployer.folder(build) / "source", None
    if await asyncio.to_thread(source.is_dir):
        archive = make_folder(platform.settings.data / "uploads") / f"{build.id}.part"
        await asyncio.to_thread(pack, source, archive)
    new_build = platform.deploy(
        project.name, str(archive or build.source), environment=build.environment, secrets=build.secrets,
        builder=build.builder, as_of=build.as_of, archive=archive,
    )  # fmt: skip
    return f"build {new_build.id}"
