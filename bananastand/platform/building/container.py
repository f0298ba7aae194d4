"""The container builder: docker, podman or buildah, whichever answers; other base images where they are configured."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..launch import Launch
from .commands import output, run
from .dockerfile import Dockerfile
from .errors import BuildError
from .log import BuildLog
from .settings import BuildSettings

__all__ = ["ENGINES", "answering", "build_container"]

ENGINES = ("docker", "podman", "buildah")
PLAIN = re.compile(r"^(docker\.io/)?(library/)?")


async def answering(engine: str | None = None) -> str | None:
    """The engine that is named, or the first that works here: `info` asks docker's engine too, not its client alone."""
    for name in (engine,) if engine else ENGINES:
        if shutil.which(name) and (await output([name, "info"], seconds=20))[0] == 0:
            return name
    return None


async def build_container(
    dockerfile: Dockerfile, source: Path, *, settings: BuildSettings, folder: Path, log: BuildLog
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
    file.write_text(_mapped(text, dockerfile, settings.images, log), encoding="utf-8")
    tag = f"localhost/bananastand/{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}:build"
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
    environment = {**os.environ, "DOCKER_BUILDKIT": "1", **secrets}  # older dockers know no build secrets without it
    status = await run([*command, *settings.engine_options, str(source)], log=log, environment=environment)
    if status:
        raise BuildError(f"{engine} build ended with status {status}: {_reason(list(log.tail))}")
    return await _launch(engine, tag, settings)


def _reason(lines: list[str]) -> str:
    """The engine's own word for what failed, and the last word of the program before it."""
    errors = [at for at, line in enumerate(lines) if re.match(r"(error|.*\bfailed\b|.*\berror\b)", line, re.IGNORECASE)]
    if not errors:
        return lines[-1] if lines else "it said nothing"
    before = next((each for each in reversed(lines[: errors[-1]]) if not each.startswith("subprocess exited")), "")
    return f"{lines[errors[-1]]} (after: {before})" if before else lines[errors[-1]]


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


async def _launch(engine: str, tag: str, settings: BuildSettings) -> Launch:
    about = ["inspect", "--type=image", tag] if engine == "buildah" else ["image", "inspect", tag]
    status, text = await output([engine, *about])
    try:
        told: Any = json.loads(text)
        config = cast("dict[str, Any]", told["Docker"]["config"] if engine == "buildah" else told[0]["Config"])
    except (ValueError, KeyError, IndexError, TypeError):
        raise BuildError(f"{engine} does not tell about the image it built (status {status})") from None
    command = (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
    if not command:
        raise BuildError('the image has no CMD: say how the app is started, as CMD ["python3", "-u", "app.py"]')
    ports = [port.partition("/")[0] for port in config.get("ExposedPorts") or {} if not port.endswith("/udp")]
    return Launch(
        kind="container",
        command=command,
        workdir=config.get("WorkingDir") or "/",
        environment=dict(settings.environment),  # ENV lines are in the image
        image=tag,
        engine=engine,
        port=int(ports[0]) if ports else None,
    )
