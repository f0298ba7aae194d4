"""The process builder: builds a Dockerfile on this machine without a container."""

from __future__ import annotations

import asyncio
import os
import posixpath
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from ...environment import inherited
from ...launch import Launch
from ...replicas.sandbox import sandbox_problem
from ..dockerfile.dockerfile import Dockerfile
from ..dockerfile.image_command import ImageCommand, exposed_port, resolve_command
from ..errors import BuildError, DockerfileError
from ..failure import explain_windows_line_ends
from ..overrides import Overrides
from ..settings import BuildSettings
from ..weights.weights import hub_home, lend_cache, renamed_weights
from .absolute_paths import unreachable_paths
from .stage import StageBuild
from .system_packages import app_packages, describe_packages, missing_packages

__all__ = ["build_process"]


async def build_process(
    dockerfile: Dockerfile, source: Path, *, settings: BuildSettings, overrides: Overrides, folder: Path,
    log: Callable[[str], None],
) -> Launch:  # fmt: skip
    """Build the stages that the last one needs.

    Args:
        dockerfile: Of the source.
        source: The folder of the source.
        settings: Of the build.
        overrides: Of bananastand.toml.
        folder: The build's own; replicas run in it.
        log: Called with each line.

    Raises:
        BuildError: The build failed; the text says why and what to do.
    """
    done, no_sandbox = dict[int, StageBuild](), sandbox_problem()
    if no_sandbox:
        log(f"absolute paths: led into the build word by word, as no mount namespace can be made: {no_sandbox}")
    for stage in dockerfile.needed():
        build = StageBuild(
            stage, dockerfile, source=source, folder=folder, settings=settings, overrides=overrides, log=log,
            earlier=done, no_sandbox=no_sandbox,
        )  # fmt: skip
        try:
            await build.build()
        except DockerfileError:
            await _say_packages(build, log)
            raise
        done[stage.index] = build
    last = done[dockerfile.stages[-1].index]
    python = await last.python()
    start = _start(last, overrides)
    running = last.running_environment(python)
    home = hub_home(settings.cache, last.environment, inherited(os.environ))
    lent = await asyncio.to_thread(lend_cache, home, folder / "huggingface")
    environment = {**running, **lent, **renamed_weights(last.weights, running), **start.environment}
    environment |= settings.environment
    launch = Launch(
        kind="process",
        command=_translate_command(last, start.words),
        workdir=str(last.rootfs.at(posixpath.join(last.workdir, start.folder))),
        environment={**environment, **overrides.app.environment},
        python=python.python,
        port=overrides.app.port or exposed_port(last.exposed),
        health=overrides.app.health,
        root=str(last.rootfs.root),
        named=_named_paths(settings.environment),
    )
    for index, build in done.items():
        if index != last.stage.index:
            shutil.rmtree(build.rootfs.root.parent, ignore_errors=True)
    _check(launch, last)
    await _say_packages(last, log)
    if no_sandbox:
        for line in unreachable_paths(Path(launch.workdir), last.rootfs):
            log(line)
    return launch


def _named_paths(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paths that the deploy's own variables name."""
    return tuple(sorted({part for value in environment.values() for part in value.split(":") if part.startswith("/")}))


def _start(last: StageBuild, overrides: Overrides) -> ImageCommand:
    if overrides.app.command is not None:
        return ImageCommand(overrides.app.command)
    lines = _lines_of_command(last)
    start = resolve_command(last.entrypoint, last.command, lines[-1] if lines else last.stage.line)
    if start is None:
        raise BuildError(
            'the Dockerfile has no CMD: say how the app is started, as CMD ["python3", "-u", "app.py"], or as command '
            "under [app] of bananastand.toml"
        )
    return start


def _lines_of_command(last: StageBuild) -> list[int]:
    return [line.line for line in last.stage.instructions if line.name in ("CMD", "ENTRYPOINT")]


def _translate_command(last: StageBuild, words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command on this machine: paths of the image lead into its files, and Python is the environment's."""
    program = words[0]
    name = posixpath.basename(program)
    if name.startswith("python") or (program.startswith("/") and not last.rootfs.has(program)):
        program = name
    elif program.startswith("/"):
        program = str(last.rootfs.at(program))
    return (program, *(str(last.rootfs.at(word)) if word.startswith("/") and last.rootfs.has(word) else word
                       for word in words[1:]))  # fmt: skip


def _check(launch: Launch, last: StageBuild) -> None:
    """Raise BuildError where the program is missing, before a replica fails to start."""
    program, *words = launch.command
    label = f"CMD {' '.join(launch.command)}".replace(str(last.rootfs.root), "")
    if lines := _lines_of_command(last):
        label = f"Dockerfile line {lines[-1]}: {label}"
    if (why := explain_windows_line_ends(Path(launch.workdir, program))) is not None:
        raise BuildError(f"{label}: {why}")
    if program.startswith("python"):
        script = next((word for word in words if not word.startswith("-")), None)
        flags = words[: words.index(script)] if script else words
        if script and not {"-m", "-c"} & set(flags) and not Path(launch.workdir, script).is_file():
            inside = launch.workdir.removeprefix(str(last.rootfs.root)) or "/"
            scripts = sorted(path.name for path in Path(launch.workdir).glob("*.py"))
            others = f" (it has {', '.join(scripts[:6])})" if scripts else ""
            raise BuildError(f"{label}: there is no {script} in {inside}{others}; is there a COPY of it?")
    elif shutil.which(program, path=launch.environment["PATH"]) is None and not Path(launch.workdir, program).is_file():
        raise BuildError(
            f"{label}: neither the build's environment nor this machine has a program {program}; add the package that "
            "brings it to requirements.txt, install it on this machine, or use the container builder"
        )


async def _say_packages(build: StageBuild, log: Callable[[str], None]) -> None:
    """Log which Debian packages the Dockerfile installs, and which of them this machine lacks."""
    if names := app_packages(build.packages):
        log(describe_packages(names, await missing_packages(names)))
