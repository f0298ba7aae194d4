"""The container builder: builds an image with docker, podman or buildah."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import re
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from ...environment import PROXIES, addresses, inherited
from ...launch import Launch
from ...replicas.start_command import ENGINE_PREFIXES as ENGINE_VARIABLES
from ...replicas.start_command import image_tag
from ...store.private_files import widen
from ..commands import output, run
from ..dockerfile.dockerfile import Dockerfile, parse
from ..dockerfile.dockerfile_edits import apply_overrides
from ..dockerfile.image_command import exposed_port
from ..dockerfile.run_edits import add_run_environment
from ..environments.installer import pip_config
from ..errors import BuildError
from ..failure import decisive_line
from ..log import BuildLog
from ..overrides import Overrides
from ..settings import BuildSettings
from ..weights.weights import RENAMED, declared_arguments, renamed_folder, renamed_weights
from .dated_index import serve_dated_index
from .engines import ENGINES, ContainerEngine, find_engine
from .run_environment import RunEnvironment, make_run_environment

__all__ = ["build_container"]

# An engine's own words about a step that failed, behind those of the step's program.
ENGINES_OWN = re.compile(r"(ERROR: failed|error: building|Error: building|error building|Error: error building|"
                         r"#\d+ ERROR|ERROR: process|STEP \d+/\d+:|--> |.*\bexit status\b|subprocess exited|"
                         r".*failed to (solve|build)|ERRO\[|"
                         r"The command '.*' returned|------|Dockerfile:\d+)", re.IGNORECASE)  # fmt: skip
PLAIN = re.compile(r"^(docker\.io/)?(library/)?")


async def build_container(
    dockerfile: Dockerfile, source: Path, *, settings: BuildSettings, overrides: Overrides, folder: Path, log: BuildLog,
    engine: ContainerEngine | None = None,
) -> Launch:  # fmt: skip
    """Build an image of the source.

    Secrets are mounted for the RUN lines that ask for them; tokens and addresses of the hub reach all of them.

    Args:
        dockerfile: That of the source, read.
        source: The build's context.
        settings: Of the build.
        overrides: Of bananastand.toml.
        folder: The build's own, for the Dockerfile that the engine reads.
        log: Hears the engine's lines.
        engine: One that works; None to look for it.

    Raises:
        BuildError: There is no engine that works, or the build failed.
    """
    engine = engine or await _engine(settings)
    tag = image_tag(folder)
    log(f"building an image with {engine.name}")
    pip = await pip_config({})
    async with serve_dated_index(settings, source, pip, log) as index:
        index = index if engine.host_network else None
        run_env = make_run_environment(dockerfile, settings, overrides.build.weights, os.environ, pip, index)
        file = _dockerfile(dockerfile, source, settings, overrides, folder, run_env, log)
        command = [engine.name, "build", *engine.options, "--tag", tag, "--file", str(file), *run_env.options]
        command += _options(engine, dockerfile, settings, file, run_env)
        secrets = dict[str, str]()
        for number, (name, value) in enumerate(settings.secrets.items()):
            secrets[f"BANANASTAND_SECRET_{number}"] = value
            command += ["--secret", f"id={name},env=BANANASTAND_SECRET_{number}"]
        # Older dockers know no build secrets without BuildKit.
        own = inherited(os.environ, *ENGINE_VARIABLES)
        environment = {**own, "DOCKER_BUILDKIT": "1", **secrets, **run_env.environment}
        await asyncio.to_thread(widen, source)  # COPY takes modes as they are, and the image's user reads the files
        say = partial(_log_line, log, (*run_env.flags, run_env.words.strip()))
        status = await run([*command, *settings.engine_options, str(source)], log=say, environment=environment)
    if status:
        raise BuildError(_failure(engine.name, status, list(log.tail)))
    return await _launch(engine, tag, settings, overrides)


def _log_line(log: BuildLog, ours: tuple[str, ...], line: str) -> None:
    """Log a line of the engine, with RUN lines as the repository has them."""
    for addition in filter(None, ours):
        line = line.replace(f"{addition} ", "")
    log(line)


async def _engine(settings: BuildSettings) -> ContainerEngine:
    names = (settings.engine,) if settings.engine else ENGINES
    found = await find_engine(names, settings.engine_notes)
    if found.engine is None:
        why = f" ({found})" if found.problems else ""
        raise BuildError(
            f"cannot build an image: none of {', '.join(names)} works here{why}; start Docker, or install one "
            "(apt-get install buildah), or use the process builder"
        )
    return found.engine


def _dockerfile(
    dockerfile: Dockerfile, source: Path, settings: BuildSettings, overrides: Overrides, folder: Path,
    run_env: RunEnvironment, log: BuildLog,
) -> Path:  # fmt: skip
    """Write the Dockerfile that the engine reads."""
    text = (source / settings.dockerfile).read_text(encoding="utf-8", errors="replace")
    text = _replace_images(text, dockerfile, settings.images, log)
    text = apply_overrides(text, dockerfile, overrides.build)
    if run_env.words:
        log(f"RUN lines see {', '.join(run_env.names)}; the image does not keep them")
        text = add_run_environment(text, parse(text, settings.environment), run_env.flags, run_env.words, log)
    file = folder / "Dockerfile"
    file.write_text(text, encoding="utf-8")
    ignore = source / f"{settings.dockerfile}.dockerignore"
    if ignore.is_file():
        shutil.copyfile(ignore, f"{file}.dockerignore")
    return file


def _options(
    engine: ContainerEngine, dockerfile: Dockerfile, settings: BuildSettings, file: Path, run_env: RunEnvironment
) -> list[str]:
    """Return further options of the build command."""
    command = list[str]()
    if engine.name == "docker":
        command += ["--progress", "plain"]
        command += [part for name in sorted(PROXIES & os.environ.keys()) for part in ("--build-arg", name)]
    else:  # docker's format has what OCI's has not: SHELL and HEALTHCHECK
        command += ["--format", "docker", "--layers"]
    if run_env.on_loopback and engine.host_network:  # a network of the container's own does not lead there
        command += ["--network", "host"]
    if Path(f"{file}.dockerignore").is_file() and engine.name != "docker":  # docker finds it by its name
        command += ["--ignorefile", f"{file}.dockerignore"]
    declared = declared_arguments(dockerfile)
    for name, value in settings.environment.items():
        if name in declared:
            command += ["--build-arg", f"{name}={value}"]
    return command


def _failure(engine: str, status: int, lines: list[str]) -> str:
    """Return the engine's error line and the decisive line of the program before it."""
    at = [place for place, line in enumerate(lines) if ENGINES_OWN.match(line)]
    last = lines[at[-1]] if at else lines[-1] if lines else "it said nothing"
    before = (
        [re.sub(r"^#\d+ +[\d.]+ +", "", line) for line in lines[: at[-1]] if not ENGINES_OWN.match(line)] if at else []
    )
    cause = decisive_line(before)
    return f"{engine} build ended with status {status}: {last}" + (f" (after: {cause})" if cause else "")


def _replace_images(text: str, dockerfile: Dockerfile, images: Mapping[str, str], log: BuildLog) -> str:
    """Return the Dockerfile with configured images in its FROM lines."""
    lines = text.removeprefix("\ufeff").splitlines()
    for stage in dockerfile.stages:
        if dockerfile.stage(stage.base, stage.index) is not None or (image := _replacement(stage.base, images)) is None:
            continue
        if lines[stage.line - 1].rstrip().endswith(dockerfile.escape):
            raise BuildError(f"Dockerfile line {stage.line}: FROM goes on in the next line; write it on one")
        log(f"FROM {stage.base}: {image} in its place, as configured")
        lines[stage.line - 1] = f"FROM {image}" + (f" AS {stage.name}" if stage.name else "")
    return "\n".join([*lines, ""])


def _replacement(base: str, images: Mapping[str, str]) -> str | None:
    """Return the image of the first configured pattern that matches a base image, in its short or full name."""
    named = {base, PLAIN.sub("", base)}
    named |= {f"{name}:latest" for name in named if ":" not in name.rpartition("/")[2] and "@" not in name}
    return next((image for pattern, image in images.items() for name in named if fnmatch.fnmatch(name, pattern)), None)


async def _launch(engine: ContainerEngine, tag: str, settings: BuildSettings, overrides: Overrides) -> Launch:
    arguments = ["inspect", "--type=image", tag] if engine.name == "buildah" else ["image", "inspect", tag]
    status, text = await output([engine.name, *arguments])
    try:
        description: Any = json.loads(text)
        found = description["Docker"]["config"] if engine.name == "buildah" else description[0]["Config"]
        config = cast("dict[str, Any]", found)
    except (ValueError, KeyError, IndexError, TypeError):
        raise BuildError(f"{engine.name} does not tell about the image it built (status {status})") from None
    command = overrides.app.command or (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
    if not command:
        raise BuildError('the image has no CMD: say how the app is started, as CMD ["python3", "-u", "app.py"]')
    return Launch(
        kind="container",
        command=command,
        workdir=config.get("WorkingDir") or "/",
        environment=_environment(config, settings, overrides),
        image=tag,
        engine=engine.name,
        port=overrides.app.port or exposed_port(config.get("ExposedPorts") or {}),
        health=overrides.app.health,
        isolation=engine.isolation,
        volumes={RENAMED: str(renamed_folder())} if overrides.build.weights else {},
    )


def _environment(config: dict[str, Any], settings: BuildSettings, overrides: Overrides) -> dict[str, str]:
    """Return variables for replicas: those that come before this machine's addresses; ENV stays in the image."""
    lines: list[str] = config.get("Env") or []
    image = {name: value for name, _, value in (line.partition("=") for line in lines)}
    weights = dict[str, str]()
    if overrides.build.weights:
        path = ":".join(filter(None, (RENAMED, image.get("PYTHONPATH"))))
        weights = {**renamed_weights(overrides.build.weights, {}), "PYTHONPATH": path}
    return {**addresses(image), **weights, **settings.environment, **overrides.app.environment}
