"""The cluster's first machine: it runs Ray's head, lets machines join, and may run replicas itself.

It is a process of its own, so that a platform that is killed, or that another front replaces, takes no node with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path

from bananastand.platform.store.private_files import open_private

from .authority import write_private
from .credentials import Cluster, CredentialsError, Identity, cluster_folder, create_cluster
from .enrolment import EnrolmentServer
from .prerequisites import check_ray
from .ray_process import NodeOptions, RayProcess, inherited_environment

__all__ = [
    "StartedHead",
    "ensure_head",
    "init_cluster",
    "is_first_machine",
    "is_running",
    "load_options",
    "run_head",
]

START_TIMEOUT = 90.0  # seconds until a head that `up` starts is there
STOP_TIMEOUT = 30.0


def init_cluster(data: Path, options: NodeOptions, *, replace: bool = False, **cluster: int | bool) -> Cluster:
    """Create a cluster in a data directory.

    Args:
        data: The data directory.
        options: What this machine gives to the cluster, and its address.
        replace: Whether to replace a cluster that is there; its members must join again.
        cluster: `ray_port`, `enrolment_port` and `encrypts_ray` of the cluster.

    Raises:
        CredentialsError: The directory has a cluster, or Ray is missing or too old.
        OSError: A file cannot be written.
    """
    check_ray()
    folder = cluster_folder(data)
    if is_first_machine(data):
        if not replace:
            advice = (
                "`bananastand cluster token` lets machines join it; --replace makes another, for which all join again"
            )
            raise CredentialsError(f"{folder} has a cluster already: {advice}")
        with _only_one(folder):
            shutil.rmtree(folder)
    created = Cluster(secrets.token_hex(4), options.address, **cluster)  # pyright: ignore[reportArgumentType]
    create_cluster(folder, created, (options.address,))
    write_private(folder / "head.json", json.dumps(asdict(options), indent=2).encode())
    return created


def is_first_machine(data: Path) -> bool:
    """Return whether a data directory is that of a cluster's first machine."""
    return (cluster_folder(data) / "ca-key.pem").is_file()


def load_options(data: Path) -> NodeOptions:
    """Return what the first machine gives to its cluster. Raises CredentialsError."""
    try:
        return NodeOptions(**json.loads((cluster_folder(data) / "head.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CredentialsError(
            f"{data} is not of a cluster's first machine ({error}): bananastand cluster init"
        ) from None


async def run_head(data: Path, say: Callable[[str], None], *, is_of_platform: bool = False) -> None:
    """Run the first machine until cancelled.

    Args:
        data: The data directory.
        say: Prints a line for whoever runs this.
        is_of_platform: Whether a platform has started it, and the platform that ends last is to stop it.

    Raises:
        CredentialsError: There is no cluster, Ray is missing or too old, or it runs already.
        OSError: A port is taken.
    """
    check_ray()
    options, folder = load_options(data), cluster_folder(data)
    identity = Identity.load(folder / "head")
    mark = folder / "head.up"

    def on_change(is_up: bool) -> None:
        if is_up:
            mark.write_text(str(os.getpid()) if is_of_platform else "")
        else:
            mark.unlink(missing_ok=True)

    with _only_one(folder):
        on_change(False)
        async with await EnrolmentServer(folder, identity, say).start(options.address):
            say(f"machines may join at {options.address}:{identity.cluster.enrolment_port}")
            await RayProcess(identity, options, say, on_change, is_head=True).run()


@dataclass(frozen=True, slots=True)
class StartedHead:
    """A head that this process has started, or that an earlier `up` has left."""

    pid: int

    def stop(self) -> None:
        """End it; blocks until it has ended, for at most half a minute."""
        deadline = time.monotonic() + STOP_TIMEOUT
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGTERM)
            while time.monotonic() < deadline:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(self.pid, os.WNOHANG)
                os.kill(self.pid, 0)
                time.sleep(0.05)


def ensure_head(data: Path) -> StartedHead | None:
    """Have the head running, if this is the cluster's first machine; blocks until it is there.

    Returns:
        The head if this platform is to stop it in the end; None if somebody else runs it, as a service or elsewhere.

    Raises:
        CredentialsError: It has not started; the message has its last lines.
    """
    if not is_first_machine(data):
        return None
    folder = cluster_folder(data)
    log, mark = folder / "head.log", folder / "head.up"
    started: subprocess.Popen[bytes] | None = None
    if not is_running(folder):
        mark.unlink(missing_ok=True)
        command = [sys.executable, "-m", "bananastand", "cluster", "head", "--data", str(data), "--of-platform"]
        with open(log, "wb", opener=open_private) as file:
            started = subprocess.Popen(
                command, env=inherited_environment(), stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip
    deadline = time.monotonic() + START_TIMEOUT
    while not mark.exists():
        if (started is not None and started.poll() is not None) or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
            raise CredentialsError("the cluster's head has not started: " + ("; ".join(lines) or "it has said nothing"))
        time.sleep(0.1)
    pid = mark.read_text()
    return StartedHead(int(pid)) if pid else None


def is_running(folder: Path) -> bool:
    """Return whether the head of a cluster's folder runs on this machine."""
    try:
        with _only_one(folder):
            return False
    except CredentialsError:
        return True


@contextlib.contextmanager
def _only_one(folder: Path) -> Generator[None]:
    """Hold the lock of the head. Raises CredentialsError if another process holds it."""
    with open(folder / "head.lock", "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CredentialsError("the head of this cluster runs already on this machine") from None
        yield
