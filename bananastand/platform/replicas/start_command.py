"""What to execute for one replica: a launch becomes an argument list, a folder and an environment. Starts nothing.

`python [-u] FILE.py` of a process is run by the worker, in the app's own interpreter: it hosts a Potassium app, and
lets any other program be its own server. Any other command is run as it is, with PORT and HOST set. Listening sockets
are moved to private ports where the system lets them be (`replicas.moved_ports`). A container runs its image's command
through the engine.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    "image_tag",
    "is_limited_to_one_replica",
    "make_start_command",
    "remove_image_command",
    "worker_arguments",
]

PLATFORM_VARIABLE, REPLICA_VARIABLE = (
    "BANANASTAND_STAND",
    "BANANASTAND_REPLICA",
)  # in the environment of all that a stand starts
IMAGES = "localhost/bananastand/"  # names of built images begin so
PORT = 8000  # Banana's
SERVERS = ("uvicorn", "gunicorn", "flask", "http.server", "hypercorn", "waitress")  # modules that are no Potassium app
# Where an engine is, and how it is set up.
ENGINE_PREFIXES = ("DOCKER_", "CONTAINER_", "CONTAINERS_", "BUILDAH_", "REGISTRY_", "STORAGE_")
VALUES = "BANANASTAND_VALUES"  # in the environment of buildah's client: shell lines, of the container's variables
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PYTHON = re.compile(r"python(3(\.\d+)?)?")


@dataclass(frozen=True, slots=True)
class StartCommand:
    """What is executed.

    port: where the app is expected to listen; `moves` if its sockets go to private ports whatever it asks for. words:
    what the worker runs in the interpreter command[0]: a file or -m MODULE, and arguments; None for a program that is
    run as it is. concurrency: calls at once, 0 for what the app declares. health: the path that answers 200 when it is
    ready. base: the environment but for what is this replica's own.
    """

    command: tuple[str, ...]
    folder: str | None
    environment: dict[str, str]
    port: int
    moves_ports: bool = False
    worker_arguments: tuple[str, ...] | None = None
    concurrency: int = 0
    health: str | None = None
    container: str | None = None  # its name, for stopping it
    engine: str | None = None
    shared_environment: dict[str, str] = field(default_factory=dict[str, str])
    cgroup: Cgroup | None = None  # that bounds it
    isolation_policy: IsolationPolicy | None = None  # what it is kept from, where it has a root of its own
    root: str | None = None  # the file tree whose absolute paths it sees where a mount namespace works


def make_start_command(
    launch: Launch,
    *,
    stand: str,
    replica: str,
    port: int,
    host: str = "bananastand",
    concurrency: int = 0,
    secrets: Mapping[str, str] | None = None,
    gpu: str | None = None,
    memory_mb: int | None = None,
    policy: IsolationPolicy | None = None,
) -> StartCommand:
    """One replica's start. `port` is free on this host; what the launch fixes is preferred to it.

    host: "potassium" to leave a Potassium app to its own server. concurrency: calls at once, 0 for what the app
    declares.
    """
    own = {**launch.environment, **(secrets or {})}
    marks = {PLATFORM_VARIABLE: stand, REPLICA_VARIABLE: replica}
    if launch.kind == "container":
        return _container(launch, own, marks, replica, port, gpu, memory_mb)
    if gpu is not None:
        marks["CUDA_VISIBLE_DEVICES"] = gpu
    words = worker_arguments(launch.command) if launch.python is not None and host != "potassium" else None
    moved = redirection_problem() is None
    port = launch.port or (PORT if moved or words is not None else port)
    base = {
        **_on_path(launch, inherited(os.environ)),
        "PYTHONUNBUFFERED": "1",
        **launch.environment,
        PLATFORM_VARIABLE: stand,
    }
    base |= wait_policy(base)
    environment = {**base, **own, "PORT": str(port), "HOST": "127.0.0.1", **marks}
    command = launch.command
    if launch.python is not None and PYTHON.fullmatch(Path(command[0]).name):
        command = (launch.python, *command[1:])
    return StartCommand(
        command, launch.workdir, environment, port, moved or words is not None, words, concurrency, launch.health,
        shared_environment=base, root=launch.root, isolation_policy=_policy_for(launch, policy),
    )  # fmt: skip


def _policy_for(launch: Launch, policy: IsolationPolicy | None) -> IsolationPolicy | None:
    """The walls with what this version needs to see: what the user named for it, and its interpreter's programs."""
    if policy is None:
        return None
    programs = {os.path.dirname(launch.python)} if launch.python else set[str]()
    return replace(policy, named_paths=launch.named, user_paths=policy.user_paths | programs)


def worker_arguments(command: tuple[str, ...]) -> tuple[str, ...] | None:
    """What the worker is to run for `python [-u] FILE.py ...` or `python -m MODULE ...`; None for another command."""
    if not command or not PYTHON.fullmatch(Path(command[0]).name):
        return None
    rest = command[1:]
    while rest and rest[0] in ("-u", "-B", "-O"):
        rest = rest[1:]
    if rest[:1] == ("-m",) and len(rest) > 1:
        return None if rest[1] in SERVERS else rest
    return rest if rest and not rest[0].startswith("-") else None


def remove_image_command(launch: Launch, folder: Path) -> tuple[tuple[str, ...], dict[str, str]] | None:
    """The command that removes the image a build in `folder` has made, and its environment; None where it made none.

    In a copied data directory the image is the original's, and stays.
    """
    if launch.kind != "container" or not launch.image:
        return None
    if launch.image.startswith(IMAGES) and launch.image != image_tag(folder):
        return None
    verb = ("rmi",) if launch.engine == "buildah" else ("image", "rm")
    return (launch.engine or "docker", *verb, launch.image), inherited(os.environ, *ENGINE_PREFIXES)


def image_tag(folder: Path) -> str:
    """The name of the image that a build in this folder makes."""
    return f"{IMAGES}{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}:build"


def is_limited_to_one_replica(launch: Launch) -> bool:
    """Whether two replicas would want the same port of this host."""
    if launch.kind == "container" and launch.engine != "buildah":
        return False
    if redirection_problem() is None:
        return False
    return launch.port is not None and (launch.python is None or worker_arguments(launch.command) is None)


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
) -> StartCommand:
    """The engine's command. Values reach the container through the engine's environment, never its arguments."""
    engine, image = launch.engine or "docker", launch.image or ""
    name = f"bananastand-{replica}"
    own = {**own, **({"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None and engine == "buildah" else {}), **marks}
    shared = engine == "buildah"  # its containers are on this host's network
    moved = redirection_problem() is None
    expected = (launch.port or (PORT if moved else port)) if shared else (launch.port or PORT)
    outside = expected if shared else port
    known = {name: value for name, value in addresses(os.environ).items() if shared or not is_loopback(value)}
    own = {**known, **own, "PORT": str(expected), "HOST": "127.0.0.1" if shared else "0.0.0.0"}
    own |= wait_policy(own)
    volumes = [part for inside, here in launch.volumes.items() for part in ("--volume", f"{here}:{inside}:ro")]
    environment = {**inherited(os.environ, *ENGINE_PREFIXES), **own}
    if shared:
        lines = "".join(f"export {each}={shlex.quote(value)}\n" for each, value in own.items() if NAME.fullmatch(each))
        return StartCommand(
            ("/bin/sh", "-c", _buildah_script(launch, name, volumes, memory_mb)), None, environment | {VALUES: lines},
            outside, moved, health=launch.health, container=name, engine=engine,
        )  # fmt: skip
    names = [part for each in own for part in ("--env", each)]
    command = [engine, "run", "--rm", "--init", "--name", name, "--label", f"bananastand={marks[PLATFORM_VARIABLE]}"]
    command += ["--publish", f"127.0.0.1:{port}:{expected}", *volumes, *names]
    if memory_mb is not None:
        command += ["--memory", f"{memory_mb}m"]
    if gpu is not None:
        command += ["--gpus", f"device={gpu}"] if engine == "docker" else ["--device", f"nvidia.com/gpu={gpu}"]
    # What stands behind the image are arguments of its ENTRYPOINT, which is in the launch's command already.
    command += ["--entrypoint", launch.command[0], image, *launch.command[1:]]
    return StartCommand(
        tuple(command), None, environment, outside,
        health=launch.health, container=name, engine=engine,
    )  # fmt: skip


def _buildah_script(launch: Launch, name: str, volumes: Sequence[str], memory_mb: int | None) -> str:
    """Make a working container and run the command in it.

    buildah takes values of variables from its arguments alone, which everybody can read: a shell in the container reads
    them from its standard input instead.
    """
    memory = ("--memory", f"{memory_mb}m") if memory_mb is not None else ()
    made = shlex.join(["buildah", "from", "--pull-never", *memory, "--name", name, launch.image or ""])
    isolation = ("--isolation", launch.isolation) if launch.isolation else ()
    folder = ("--workingdir", launch.workdir) if launch.workdir else ()
    run = ["buildah", "run", *isolation, "--network", "host", *volumes, *folder, "--", name]
    inside = ["/bin/sh", "-c", 'eval "$(cat)"; exec "$@" < /dev/null', "sh", *launch.command]
    return f"{made} > /dev/null && exec {shlex.join([*run, *inside])} <<END_OF_VALUES\n${VALUES}\nEND_OF_VALUES\n"
