"""Makes the command of a replica: arguments, a working directory and an environment.

`python [-u] FILE.py` of a process is run by the worker, in the app's own interpreter: it hosts a Potassium app, and
lets any other program be its own server. Any other command is run as it is, with PORT and HOST set. Listening sockets
are moved to private ports where the system supports that (`moved_ports`). A container runs its image's command through
the engine.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from ...threads import wait_policy
from ..environment import addresses, inherited, is_loopback
from ..launch import Launch
from .cgroups import Cgroup
from .isolation_policy import IsolationPolicy
from .moved_ports import redirection_problem

__all__ = [
    "ENGINE_PREFIXES",
    "PLATFORM_VARIABLE",
    "REPLICA_VARIABLE",
    "StartCommand",
    "fixed_port",
    "image_tag",
    "make_start_command",
    "remove_image_command",
    "runs_in_worker",
    "worker_arguments",
]

# In the environment of every program that a platform starts.
PLATFORM_VARIABLE, REPLICA_VARIABLE = "BANANASTAND_STAND", "BANANASTAND_REPLICA"
IMAGES = "localhost/bananastand/"  # the prefix of the names of built images
PORT = 8000  # Banana's
SERVERS = (
    "uvicorn",
    "gunicorn",
    "flask",
    "http.server",
    "hypercorn",
    "waitress",
)  # modules without a Potassium app
# Prefixes of the variables that configure an engine.
ENGINE_PREFIXES = ("DOCKER_", "CONTAINER_", "CONTAINERS_", "BUILDAH_", "REGISTRY_", "STORAGE_")
VALUES = "BANANASTAND_VALUES"  # for buildah's client: shell lines that set the container's variables
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PYTHON = re.compile(r"python(3(\.\d+)?)?")


@dataclass(frozen=True, slots=True)
class StartCommand:
    """What to run for one replica.

    Attributes:
        command: The program and its arguments.
        folder: The working directory; None for the platform's.
        environment: All environment variables.
        port: The port on which the app is expected to listen.
        moves_ports: Whether its listening sockets are moved to private ports.
        worker_arguments: What the worker runs in the interpreter command[0], a file or -m MODULE, and its arguments;
            None for a program that is run as it is.
        concurrency: Calls at once; 0 for what the app declares.
        health: The path that answers 200 when the app is ready.
        container: The name of its container.
        engine: The engine that runs the container.
        shared_environment: The environment without the variables of this replica.
        cgroup: The cgroup that limits it.
        isolation_policy: Its isolation, where it has a root of its own.
        root: The file tree whose absolute paths it sees, where a mount namespace works.
        is_own_host: Whether it is `bananastand serve`, which no response of its app can imitate.
    """

    command: tuple[str, ...]
    folder: str | None
    environment: dict[str, str]
    port: int
    moves_ports: bool = False
    worker_arguments: tuple[str, ...] | None = None
    concurrency: int = 0
    health: str | None = None
    container: str | None = None
    engine: str | None = None
    shared_environment: dict[str, str] = field(default_factory=dict[str, str])
    cgroup: Cgroup | None = None
    isolation_policy: IsolationPolicy | None = None
    root: str | None = None
    is_own_host: bool = False


def make_start_command(
    launch: Launch,
    *,
    platform: str,
    replica: str,
    port: int,
    host: str = "bananastand",
    concurrency: int = 0,
    secrets: Mapping[str, str] | None = None,
    gpu: str | None = None,
    memory_mb: int | None = None,
    policy: IsolationPolicy | None = None,
) -> StartCommand:
    """Make the command of one replica.

    Args:
        launch: What the build made.
        platform: The id of the data directory.
        replica: The replica's id.
        port: A free port of this machine, for an app whose launch fixes none.
        host: "potassium" to run a Potassium app on its own server.
        concurrency: Calls at once; 0 for what the app declares.
        secrets: Further variables of the app.
        gpu: The GPUs that it uses, as CUDA_VISIBLE_DEVICES has them; "" to hide them all, None for no choice.
        memory_mb: The limit of memory of a container, in MiB.
        policy: The isolation of a process.
    """
    own = {**launch.environment, **(secrets or {})}
    marks = {PLATFORM_VARIABLE: platform, REPLICA_VARIABLE: replica}
    if launch.kind == "container":
        return _container(launch, own, marks, replica, port, gpu, memory_mb)
    if gpu is not None:
        marks["CUDA_VISIBLE_DEVICES"] = gpu
    in_worker = worker_arguments(launch.command) if runs_in_worker(launch, host) else None
    moved = redirection_problem() is None
    port = launch.port or (PORT if moved or in_worker is not None else port)
    shared = {
        **_on_path(launch, inherited(os.environ)),
        "PYTHONUNBUFFERED": "1",
        **launch.environment,
        PLATFORM_VARIABLE: platform,
    }
    shared |= wait_policy(shared)
    environment = {**shared, **own, "PORT": str(port), "HOST": "127.0.0.1", **marks}
    command = launch.command
    if launch.python is not None and PYTHON.fullmatch(Path(command[0]).name):
        command = (launch.python, *command[1:])
    return StartCommand(
        command,
        launch.workdir,
        environment,
        port,
        moves_ports=moved or in_worker is not None,
        worker_arguments=in_worker,
        concurrency=concurrency,
        health=launch.health,
        shared_environment=shared,
        root=launch.root,
        isolation_policy=_policy_for(launch, policy),
        is_own_host=_is_own_host(launch.command),
    )


def _policy_for(launch: Launch, policy: IsolationPolicy | None) -> IsolationPolicy | None:
    """Return the policy with the paths that this version needs: what the user named, and its interpreter."""
    if policy is None:
        return None
    programs = {os.path.dirname(launch.python)} if launch.python else set[str]()
    return replace(policy, named_paths=launch.named, user_paths=policy.user_paths | programs)


def _is_own_host(command: tuple[str, ...]) -> bool:
    """Return whether a command is `bananastand serve`, also in a shell's line."""
    words = [word for argument in command for word in argument.split()]
    return any(Path(program).name == "bananastand" and verb == "serve" for program, verb in pairwise(words))


def runs_in_worker(launch: Launch, host: str) -> bool:
    """Return whether the worker runs what a build made, in a project with this setting of its host."""
    is_python = launch.kind == "process" and launch.python is not None
    return is_python and host != "potassium" and worker_arguments(launch.command) is not None


def worker_arguments(command: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return what the worker runs for `python [-u] FILE.py ...` or `python -m MODULE ...`; None for other commands."""
    if not command or not PYTHON.fullmatch(Path(command[0]).name):
        return None
    rest = command[1:]
    while rest and rest[0] in ("-u", "-B", "-O"):
        rest = rest[1:]
    if rest[:1] == ("-m",) and len(rest) > 1:
        return None if rest[1] in SERVERS else rest
    return rest if rest and not rest[0].startswith("-") else None


def remove_image_command(launch: Launch, folder: Path) -> tuple[tuple[str, ...], dict[str, str]] | None:
    """Return the command that removes the image of a build, and its environment; None where there is no image.

    In a copied data directory the image belongs to the original, and stays.

    Args:
        launch: What the build made.
        folder: The folder of the build.
    """
    if launch.kind != "container" or not launch.image:
        return None
    if launch.image.startswith(IMAGES) and launch.image != image_tag(folder):
        return None
    verb = ("rmi",) if launch.engine == "buildah" else ("image", "rm")
    return (launch.engine or "docker", *verb, launch.image), inherited(os.environ, *ENGINE_PREFIXES)


def image_tag(folder: Path) -> str:
    """Return the name of the image that a build in this folder makes."""
    return f"{IMAGES}{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}:build"


def fixed_port(launch: Launch) -> int | None:
    """Return the port that each replica takes of a machine that cannot move ports; None where any port will do."""
    if launch.kind == "container" and launch.engine != "buildah":
        return None
    return launch.port if launch.python is None or worker_arguments(launch.command) is None else None


def _on_path(launch: Launch, environment: dict[str, str]) -> dict[str, str]:
    """Put the build's own interpreter first in PATH."""
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
) -> StartCommand:
    """Make the engine's command. Values are in the engine's environment, never in its arguments, which all can read."""
    engine, image = launch.engine or "docker", launch.image or ""
    name = f"bananastand-{replica}"
    own = {**own, **({"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None and engine == "buildah" else {}), **marks}
    on_host_network = engine == "buildah"
    moved = redirection_problem() is None
    expected = (launch.port or (PORT if moved else port)) if on_host_network else (launch.port or PORT)
    outside = expected if on_host_network else port
    known = {name: value for name, value in addresses(os.environ).items() if on_host_network or not is_loopback(value)}
    own = {**known, **own, "PORT": str(expected), "HOST": "127.0.0.1" if on_host_network else "0.0.0.0"}
    own |= wait_policy(own)
    volumes = [part for inside, here in launch.volumes.items() for part in ("--volume", f"{here}:{inside}:ro")]
    environment = {**inherited(os.environ, *ENGINE_PREFIXES), **own}
    if on_host_network:
        lines = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in own.items() if NAME.fullmatch(key))
        return StartCommand(
            ("/bin/sh", "-c", _buildah_script(launch, name, volumes, memory_mb)), None, environment | {VALUES: lines},
            outside, moved, health=launch.health, container=name, engine=engine,
            is_own_host=_is_own_host(launch.command),
        )  # fmt: skip
    names = [part for key in own for part in ("--env", key)]
    command = [engine, "run", "--rm", "--init", "--name", name, "--label", f"bananastand={marks[PLATFORM_VARIABLE]}"]
    command += ["--publish", f"127.0.0.1:{port}:{expected}", *volumes, *names]
    if memory_mb is not None:
        command += ["--memory", f"{memory_mb}m"]
    if gpu:
        command += _gpu_options(engine, gpu)
    # Arguments after the image go to its ENTRYPOINT, which is part of the launch's command already.
    command += ["--entrypoint", launch.command[0], image, *launch.command[1:]]
    return StartCommand(
        tuple(command), None, environment, outside,
        health=launch.health, container=name, engine=engine, is_own_host=_is_own_host(launch.command),
    )  # fmt: skip


def _gpu_options(engine: str, gpus: str) -> list[str]:
    if engine == "docker":  # which reads the value as CSV
        return ["--gpus", f'"device={gpus}"' if "," in gpus else f"device={gpus}"]
    return [part for gpu in gpus.split(",") for part in ("--device", f"nvidia.com/gpu={gpu}")]


def _buildah_script(launch: Launch, name: str, volumes: Sequence[str], memory_mb: int | None) -> str:
    """Return a script that makes a working container and runs the command in it.

    buildah takes values of variables only from its arguments, which every user can read. So a shell in the container
    reads them from its standard input.
    """
    memory = ("--memory", f"{memory_mb}m") if memory_mb is not None else ()
    make = shlex.join(["buildah", "from", "--pull-never", *memory, "--name", name, launch.image or ""])
    isolation = ("--isolation", launch.isolation) if launch.isolation else ()
    folder = ("--workingdir", launch.workdir) if launch.workdir else ()
    run = ["buildah", "run", *isolation, "--network", "host", *volumes, *folder, "--", name]
    inside = ["/bin/sh", "-c", 'eval "$(cat)"; exec "$@" < /dev/null', "sh", *launch.command]
    return f"{make} > /dev/null && exec {shlex.join([*run, *inside])} <<END_OF_VALUES\n${VALUES}\nEND_OF_VALUES\n"
