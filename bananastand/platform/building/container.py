"""The container builder: docker, podman or buildah, whichever answers; other base images where they are configured."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..commands import ENGINES as ENGINE_VARIABLES
from ..commands import image_tag
from ..inherited import inherited
from ..launch import Launch
from ..private_files import widen
from .commands import output, run
from .dockerfile import Dockerfile
from .dockerfile_edits import with_overrides
from .errors import BuildError
from .failure import advice, decisive
from .log import BuildLog
from .overrides import Overrides
from .settings import BuildSettings

__all__ = ["CONTAINERS", "ENGINES", "answering", "build_container"]

CONTAINERS = ("docker", "podman")  # they isolate what they run; buildah does where it is set up so
ENGINES = ("docker", "podman", "buildah")
# An engine's own words about a step that failed, behind those of the step's program.
ENGINES_OWN = re.compile(r"(ERROR: failed|error: building|Error: building|error building|Error: error building|"
                         r"#\d+ ERROR|ERROR: process|.*\bexit status\b|subprocess exited|"
                         r".*failed to (solve|build)|ERRO\[|"
                         r"The command '.*' returned|------|Dockerfile:\d+)", re.IGNORECASE)  # fmt: skip
PLAIN = re.compile(r"^(docker\.io/)?(library/)?")


async def answering(engine: str | None = None) -> str | None:
    """The engine that is named, or the first that works here: `info` asks docker's engine too, not its client alone."""
    for name in (engine,) if engine else ENGINES:
        if shutil.which(name) and (await output([name, "info"], seconds=20))[0] == 0:
            return name
    return None


async def build_container(
    dockerfile: Dockerfile, source: Path, *, settings: BuildSettings, overrides: Overrides, folder: Path, log: BuildLog
) -> Launch:
    """Build an image of the source. Secrets are mounted for the RUN lines that ask for them. Raises BuildError."""
    engine = await answering(settings.engine)
    if engine is None:
        raise BuildError(
            f"cannot build an image: none of {settings.engine or ', '.join(ENGINES)} works here; start Docker, or "
            "install one (apt-get install buildah), or use the process builder"
        )
    file = folder / "Dockerfile"
    text = (source / settings.dockerfile).read_text(encoding="utf-8", errors="replace")
    text = _mapped(text, dockerfile, settings.images, log)
    file.write_text(with_overrides(text, dockerfile, overrides.build), encoding="utf-8")
    tag = image_tag(folder)
    command, secrets = [engine, "build", "--tag", tag, "--file", str(file)], dict[str, str]()
    if engine == "docker":
        command += ["--progress", "plain"]
    else:  # docker's format has what OCI's has not: SHELL and HEALTHCHECK
        command += ["--format", "docker", "--layers"]
    ignore = source / f"{settings.dockerfile}.dockerignore"
    if ignore.is_file():
        shutil.copyfile(ignore, f"{file}.dockerignore")
        command += [] if engine == "docker" else ["--ignorefile", f"{file}.dockerignore"]
    for name, value in settings.environment.items():
        if name in _declared(dockerfile):
            command += ["--build-arg", f"{name}={value}"]
    for number, (name, value) in enumerate(settings.secrets.items()):
        secrets[f"BANANASTAND_SECRET_{number}"] = value
        command += ["--secret", f"id={name},env=BANANASTAND_SECRET_{number}"]
    log(f"building an image with {engine}")
    environment = {
        **inherited(os.environ, *ENGINE_VARIABLES),
        "DOCKER_BUILDKIT": "1",
        **secrets,
    }  # older dockers know no build secrets without it
    await asyncio.to_thread(widen, source)  # COPY takes modes as they are, and the image's user reads the files
    status = await run([*command, *settings.engine_options, str(source)], log=log, environment=environment)
    if status:
        raise BuildError(_failure(engine, status, list(log.tail)))
    return await _launch(engine, tag, settings, overrides)


def _failure(engine: str, status: int, lines: list[str]) -> str:
    """The engine's own word for what failed, the decisive word of the program before it, and what to do."""
    at = [place for place, line in enumerate(lines) if ENGINES_OWN.match(line)]
    last = lines[at[-1]] if at else lines[-1] if lines else "it said nothing"
    before = (
        [re.sub(r"^#\d+ +[\d.]+ +", "", line) for line in lines[: at[-1]] if not ENGINES_OWN.match(line)] if at else []
    )
    said = decisive(before)
    text = f"{engine} build ended with status {status}: {last}" + (f" (after: {said})" if said else "")
    if what := advice(before):
        text += f". What to do: {what}"
    return text


def _declared(dockerfile: Dockerfile) -> set[str]:
    """The names of all ARG lines."""
    lines = [line for stage in dockerfile.stages for line in stage.instructions if line.name == "ARG"]
    return {name for line in lines for name, _ in line.pairs({})} | dockerfile.declared


def _mapped(text: str, dockerfile: Dockerfile, images: Mapping[str, str], log: BuildLog) -> str:
    """The Dockerfile with the configured images in its FROM lines; as it was where none is."""
    lines = text.removeprefix("\ufeff").splitlines()
    for stage in dockerfile.stages:
        if dockerfile.stage(stage.base, stage.index) is not None or (image := _instead(stage.base, images)) is None:
            continue
        if lines[stage.line - 1].rstrip().endswith(dockerfile.escape):
            raise BuildError(f"Dockerfile line {stage.line}: FROM goes on in the next line; write it on one")
        log(f"FROM {stage.base}: {image} in its place, as configured")
        lines[stage.line - 1] = f"FROM {image}" + (f" AS {stage.name}" if stage.name else "")
    return "\n".join([*lines, ""])


def _instead(base: str, images: Mapping[str, str]) -> str | None:
    """The first configured pattern that fits the image, by its short name or in full, decides."""
    named = {base, PLAIN.sub("", base)}
    named |= {f"{name}:latest" for name in named if ":" not in name.rpartition("/")[2] and "@" not in name}
    return next((image for pattern, image in images.items() for each in named if fnmatch.fnmatch(each, pattern)), None)


async def _launch(engine: str, tag: str, settings: BuildSettings, overrides: Overrides) -> Launch:
    about = ["inspect", "--type=image", tag] if engine == "buildah" else ["image", "inspect", tag]
    status, text = await output([engine, *about])
    try:
        told: Any = json.loads(text)
        config = cast("dict[str, Any]", told["Docker"]["config"] if engine == "buildah" else told[0]["Config"])
    except (ValueError, KeyError, IndexError, TypeError):
        raise BuildError(f"{engine} does not tell about the image it built (status {status})") from None
    command = overrides.app.command or (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
    if not command:
        raise BuildError('the image has no CMD: say how the app is started, as CMD ["python3", "-u", "app.py"]')
    ports = [port.partition("/")[0] for port in config.get("ExposedPorts") or {} if not port.endswith("/udp")]
    return Launch(
        kind="container",
        command=command,
        workdir=config.get("WorkingDir") or "/",
        environment={**settings.environment, **overrides.app.environment},  # ENV lines are in the image
        image=tag,
        engine=engine,
        port=overrides.app.port or (int(ports[0]) if ports else None),
        health=overrides.app.health,
    )
