"""What to execute for one replica: a launch becomes an argument list, a folder and an environment. Starts nothing.

`python [-u] FILE.py` of a process is hosted by `bananastand serve`; where the project says so it runs on Potassium's
own server, whose port a small script sets. Any other command is run as it is, with PORT and HOST set. A container runs
its image's command through the engine.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .inherited import inherited
from .launch import Launch

__all__ = ["MARK", "REPLICA", "Start", "app_file", "built_image", "one_at_a_time", "start_command"]

MARK, REPLICA = "BANANASTAND_STAND", "BANANASTAND_REPLICA"  # in the environment of all that a stand starts
MODULES = "BANANASTAND_MODULES"  # where our host notes what the app has imported
CONTAINER_PORT = 8000  # Banana's
ENGINES = ("DOCKER_", "CONTAINER_", "CONTAINERS_", "BUILDAH_", "REGISTRY_")  # where an engine is, and how it is set up
ON_PORT = Path(__file__).with_name("_potassium_on_port.py")
PYTHON = re.compile(r"python(3(\.\d+)?)?")


@dataclass(frozen=True, slots=True)
class Start:
    """What is executed. `host` says what answers on the port: bananastand, potassium, or the command itself."""

    command: tuple[str, ...]
    folder: str | None
    environment: dict[str, str]
    port: int
    host: str
    container: str | None = None  # its name, for stopping it
    engine: str | None = None
    serve: dict[str, Any] | None = None  # the same for a parent that forks: target and options of `bananastand serve`
    base: dict[str, str] = field(default_factory=dict[str, str])  # the environment but for what is this replica's own
    modules: Path | None = None  # where it notes what it has imported


def start_command(
    launch: Launch,
    *,
    stand: str,
    replica: str,
    port: int,
    host: str = "bananastand",
    concurrency: int = 0,
    timeout: float = 300.0,
    secrets: Mapping[str, str] | None = None,
    gpu: str | None = None,
    memory_mb: int | None = None,
    modules: Path | None = None,
) -> Start:
    """One replica's start. `port` is free on this host; what the launch fixes is preferred to it.

    concurrency: calls at once, 0 for what the app declares.
    """
    own = {**launch.environment, **(secrets or {})}
    marks = {MARK: stand, REPLICA: replica}
    if launch.kind == "container":
        return _container(launch, own, marks, replica, port, gpu, memory_mb)
    if gpu is not None:
        marks["CUDA_VISIBLE_DEVICES"] = gpu
    file = app_file(launch.command) if launch.python is not None else None
    port = port if file is not None else launch.port or port
    base = {**_on_path(launch, inherited(os.environ)), "PYTHONUNBUFFERED": "1", **launch.environment, MARK: stand}
    environment = {**base, **own, "PORT": str(port), "HOST": "127.0.0.1", **marks}
    if file is None or launch.python is None:
        return Start(launch.command, launch.workdir, environment, port, "command")
    if host == "potassium":
        command = (launch.python, "-u", str(ON_PORT), *file)
        return Start(command, launch.workdir, environment, port, host)
    options = {"port": port, "concurrency": concurrency or None, "timeout": timeout, "access_log": False}
    if modules is not None:
        environment[MODULES] = str(modules)
    limits = ("--timeout", str(timeout), "--no-access-log")
    if concurrency:
        limits = ("--concurrency", str(concurrency), *limits)
    served = (launch.python, "-m", "bananastand", "serve", file[0], "--host", "127.0.0.1", "--port", str(port))
    return Start(
        (*served, *limits), launch.workdir, environment, port, host,
        serve={"target": file[0], "options": options}, base=base, modules=modules,
    )  # fmt: skip


def app_file(command: tuple[str, ...]) -> tuple[str, ...] | None:
    """FILE.py and what follows it, of `python [-u] FILE.py ...`; None for any other command."""
    if not command or not PYTHON.fullmatch(Path(command[0]).name):
        return None
    rest = command[1:]
    while rest and rest[0] in ("-u", "-B", "-O"):
        rest = rest[1:]
    return rest if len(rest) == 1 and rest[0].endswith(".py") else None


def built_image(launch: Launch) -> tuple[tuple[str, ...], dict[str, str]] | None:
    """The command that removes the image a build has made, and its environment; None where it made none."""
    if launch.kind != "container" or not launch.image:
        return None
    verb = ("rmi",) if launch.engine == "buildah" else ("image", "rm")
    return (launch.engine or "docker", *verb, launch.image), inherited(os.environ, *ENGINES)


def one_at_a_time(launch: Launch) -> bool:
    """Whether two replicas would want the same port of this host."""
    if launch.kind == "container":
        return launch.engine == "buildah" and launch.port is not None
    return launch.port is not None and (launch.python is None or app_file(launch.command) is None)


def _on_path(launch: Launch, environment: dict[str, str]) -> dict[str, str]:
    """With the build's own interpreter first."""
    if launch.python is None:
        return environment
    folder = os.path.dirname(os.path.abspath(launch.python))
    return {**environment, "PATH": f"{folder}{os.pathsep}{environment.get('PATH', os.defpath)}"}


def _container(
    launch: Launch,
    own: Mapping[str, str],
    marks: Mapping[str, str],
    replica: str,
    port: int,
    gpu: str | None,
    memory_mb: int | None,
) -> Start:
    """The engine's command. Values reach the container through the engine's environment, never its arguments."""
    engine, image = launch.engine or "docker", launch.image or ""
    name = f"bananastand-{replica}"
    own = {**own, **({"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None and engine == "buildah" else {}), **marks}
    shared = engine == "buildah"  # its containers are on this host's network
    inside = (launch.port or port) if shared else (launch.port or CONTAINER_PORT)
    outside = inside if shared else port
    own = {**own, "PORT": str(inside), "HOST": "127.0.0.1" if shared else "0.0.0.0"}
    names = [part for each in own for part in ("--env", each)]
    environment = {**inherited(os.environ, *ENGINES), **own}
    if shared:
        run = [
            "buildah",
            "run",
            "--network",
            "host",
            *names,
            *(("--workingdir", launch.workdir) * bool(launch.workdir)),
        ]
        if memory_mb is not None:
            run += ["--memory", f"{memory_mb}m"]
        made = shlex.join(["buildah", "from", "--pull-never", "--name", name, image])
        script = f"{made} >/dev/null && exec {shlex.join([*run, '--', name, *launch.command])}"
        return Start(("/bin/sh", "-c", script), None, environment, outside, "command", name, engine)
    command = [engine, "run", "--rm", "--init", "--name", name, "--label", f"bananastand={marks[MARK]}"]
    command += ["--publish", f"127.0.0.1:{port}:{inside}", *names]
    if memory_mb is not None:
        command += ["--memory", f"{memory_mb}m"]
    if gpu is not None:
        command += ["--gpus", f"device={gpu}"] if engine == "docker" else ["--device", f"nvidia.com/gpu={gpu}"]
    return Start((*command, image, *launch.command), None, environment, outside, "command", name, engine)
