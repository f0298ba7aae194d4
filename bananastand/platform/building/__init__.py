"""Builds a source: fetches it, reads its Dockerfile, and builds it with or without a container."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from ..launch import Launch
from .builder_choice import choose_builder
from .containers.container import build_container
from .containers.engines import ENGINES, find_engine
from .dockerfile.dockerfile import Dockerfile, parse
from .dockerfile.templates import read_dockerfile
from .environments.pip_translation import Pins
from .errors import BuildError, DockerfileError, NotHonoured, SourceRefused
from .log import BuildLog
from .overrides import FILE, Overrides, read_overrides
from .processes.process import build_process
from .settings import BuildSettings
from .sources.sources import fetch

__all__ = ["BuildError", "BuildSettings", "DockerfileError", "NotHonoured", "SourceRefused", "build", "fetch"]


async def build(source: Path, *, settings: BuildSettings, folder: Path, log: Callable[[str], None]) -> Launch:
    """Build the unpacked folder `source`.

    Cancelling the task ends every process of the build.

    Args:
        source: The folder of the source.
        settings: What the build may do.
        folder: The build's own folder, which stays while the build is deployed.
        log: Called with each line.

    Returns:
        How a replica of the build is started.

    Raises:
        BuildError: The build failed; the text says why and what to do.
    """
    build_log = BuildLog(log, settings.secrets.values(), settings.largest_log)
    folder.mkdir(parents=True, exist_ok=True)
    settings.cache.mkdir(parents=True, exist_ok=True)
    settings = dataclasses.replace(settings, cache=settings.cache.resolve())
    source, folder = source.resolve(), folder.resolve()
    try:
        overrides = read_overrides(source)
        settings = _complete_settings(settings, overrides)
        dockerfile = parse(read_dockerfile(source, settings.dockerfile, overrides, build_log), settings.environment)
        launch = await _run_builder(dockerfile, source, settings, overrides, folder, build_log)
    except BuildError as error:
        # What a program said may have found its way into the reason.
        error.args = (build_log.clean(str(error)),)
        raise
    except OSError as error:
        raise BuildError(f"the build could not go on: {error.strerror}: {error.filename}") from error
    build_log(f"built: {' '.join(launch.command)} in {launch.workdir}")
    return launch


def _complete_settings(settings: BuildSettings, overrides: Overrides) -> BuildSettings:
    """Return the settings, completed by bananastand.toml. Raises BuildError."""
    file = overrides.build
    try:
        Pins.of(file.pins)
    except ValueError as error:
        raise BuildError(f"{FILE}: build.pins: {error}") from None
    return dataclasses.replace(
        settings,
        python=settings.python or file.python,
        as_of=settings.as_of or file.as_of,
        requirements=settings.requirements or file.requirements,
        pins=settings.pins or file.pins,
    )


async def _run_builder(
    dockerfile: Dockerfile, source: Path, settings: BuildSettings, overrides: Overrides, folder: Path, log: BuildLog
) -> Launch:
    choice = await choose_builder(settings, overrides)
    log(f"builder: {choice.builder} ({choice.reason})")
    if choice.builder == "container":
        return await build_container(
            dockerfile, source, settings=settings, overrides=overrides, folder=folder, log=log, engine=choice.engine
        )  # fmt: skip
    try:
        return await build_process(
            dockerfile, source, settings=settings, overrides=overrides, folder=folder, log=log
        )  # fmt: skip
    except NotHonoured as reason:
        if settings.builder != "process":
            names = (settings.engine,) if settings.engine else ENGINES
            if engine := (await find_engine(names, settings.engine_notes)).engine:
                reason.args = (f"{reason} ({engine.name} is here)",)
        raise
