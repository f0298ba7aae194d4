"""The process builder: a Dockerfile done on this machine, in folders of its own, without a container."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ..inherited import inherited
from ..launch import Launch
from .dockerfile import Dockerfile
from .errors import BuildError
from .settings import BuildSettings
from .stage import StageBuild
from .weights import hub_home, lend_cache, renamed_weights

__all__ = ["build_process"]

PYTHONS = ("python", "python3")


async def build_process(
    dockerfile: Dockerfile, source: Path, *, settings: BuildSettings, folder: Path, log: Callable[[str], None]
) -> Launch:
    """Do the stages that the last one needs. The replica runs in this build's folder. Raises BuildError."""
    done = dict[int, StageBuild]()
    for stage in dockerfile.needed():
        build = StageBuild(
            stage, dockerfile, source=source, folder=folder, settings=settings, log=log, earlier=done
        )  # fmt: skip
        await build.build()
        done[stage.index] = build
    last = done[dockerfile.stages[-1].index]
    python = await last.python()
    running = last.running_environment(python)
    home = hub_home(settings.cache, last.environment, inherited(os.environ))
    lent = await asyncio.to_thread(lend_cache, home, folder / "huggingface")
    launch = Launch(
        kind="process",
        command=_command(last),
        workdir=str(last.tree.at(last.workdir)),
        environment={**running, **lent, **renamed_weights(last.weights, running), **settings.environment},
        python=python.python,
        port=last.port,
    )
    for index, build in done.items():
        if index != last.stage.index:
            shutil.rmtree(build.tree.root.parent, ignore_errors=True)
    _check(launch, last)
    return launch


def _command(last: StageBuild) -> tuple[str, ...]:
    words = (*last.entrypoint, *(last.command or ()))
    if not words:
        raise BuildError('the Dockerfile has no CMD: say how the app is started, as CMD ["python3", "-u", "app.py"]')
    program = words[0].rpartition("/")[2] if words[0].rpartition("/")[2].startswith("python") else words[0]
    led = [str(last.tree.at(word)) if word.startswith("/") and last.tree.has(word) else word for word in words[1:]]
    return (program, *led)


def _check(launch: Launch, last: StageBuild) -> None:
    """The file that a python command runs is there: better said now than when a replica does not start."""
    program, *words = launch.command
    path = launch.environment["PATH"]
    if program.startswith("python"):
        script = next((word for word in words if not word.startswith("-")), None)
        flags = words[: words.index(script)] if script else words
        if script and not {"-m", "-c"} & set(flags) and not Path(launch.workdir, script).is_file():
            raise BuildError(f"CMD {' '.join(launch.command)}: there is no {script} in {last.workdir}")
    elif shutil.which(program, path=path) is None and not Path(launch.workdir, program).is_file():
        raise BuildError(f"CMD {' '.join(launch.command)}: this machine has no program {program}")
