"""Makes a build of a source: fetches it, reads its Dockerfile, and builds it with or without a container.

Knows sources, Dockerfiles, environments and images; knows no projects, calls or replicas.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

from ..launch import Launch
from .container import answering, build_container
from .dockerfile import Dockerfile, parse
from .errors import BuildError, DockerfileError, NotHonoured, SourceRefused
from .log import BuildLog
from .process import build_process
from .settings import BuildSettings
from .sources import fetch

__all__ = ["BuildError", "BuildSettings", "DockerfileError", "NotHonoured", "SourceRefused", "build", "fetch"]

# A repository without a Dockerfile is built as Banana's templates are.
USUAL = """FROM python:3
WORKDIR /app
{packages}COPY . .
{weights}EXPOSE 8000
CMD ["python3", "-u", "app.py"]
"""


async def build(source: Path, *, settings: BuildSettings, folder: Path, log: Callable[[str], None]) -> Launch:
    """Build the unpacked folder `source` into `folder`, which is the build's own and kept while it is deployed.

    Cancelling the task kills every process of the build. Raises BuildError, whose text a user can act on.
    """
    told = BuildLog(log, settings.secrets.values(), settings.largest_log)
    folder.mkdir(parents=True, exist_ok=True)
    settings.cache.mkdir(parents=True, exist_ok=True)
    settings = dataclasses.replace(settings, cache=settings.cache.resolve())
    source, folder = source.resolve(), folder.resolve()
    try:
        dockerfile = parse(_text(source, settings.dockerfile, told), settings.environment)
        launch = await _built(dockerfile, source, settings, folder, told)
    except BuildError as error:
        # What a program said may have found its way into the reason.
        error.args = (told.clean(str(error)),)
        raise
    except OSError as error:
        raise BuildError(f"the build could not go on: {error.strerror}: {error.filename}") from error
    told(f"built: {' '.join(launch.command)} in {launch.workdir}")
    return launch


async def _built(dockerfile: Dockerfile, source: Path, settings: BuildSettings, folder: Path, log: BuildLog) -> Launch:
    if settings.builder == "container":
        return await build_container(dockerfile, source, settings=settings, folder=folder, log=log)
    try:
        return await build_process(dockerfile, source, settings=settings, folder=folder, log=log)
    except NotHonoured as reason:
        if settings.builder == "process" or (await answering(settings.engine)) is None:
            raise
        log(f"{reason}: going on with the container builder")
        for left in folder.glob("stage*"):
            await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)
    return await build_container(dockerfile, source, settings=settings, folder=folder, log=log)


def _text(source: Path, name: str, log: Callable[[str], None]) -> str:
    file = source / name
    if not file.resolve().is_relative_to(source):
        raise BuildError(f"{name} lies outside of the source")
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    if not (source / "app.py").is_file():
        raise BuildError(f"the source has neither a {name} nor an app.py; bananastand init writes both")
    has = [each for each in ("requirements.txt", "download.py") if (source / each).is_file()]
    packages = (
        "COPY requirements.txt .\nRUN pip install -r requirements.txt\n" if has[:1] == ["requirements.txt"] else ""
    )
    text = USUAL.format(packages=packages, weights="RUN python3 download.py\n" if "download.py" in has else "")
    log(f"there is no {name}; built as if it were:")
    for line in text.splitlines():
        log(f"  {line}")
    # An engine reads it from the source.
    file.write_text(text, encoding="utf-8")
    return text
