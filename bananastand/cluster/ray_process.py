"""One Ray node as a process of this machine: its command line, and a supervisor that starts it again after a loss."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import signal
import socket
import stat
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bananastand.platform.environment import may_be_secret
from bananastand.platform.replicas.reaper import find_marked
from bananastand.platform.store.private_files import make_folder, open_private

from .credentials import FOLDER_VARIABLE, Identity

__all__ = [
    "FIRST_PORT",
    "PORTS",
    "NodeOptions",
    "RayProcess",
    "end_remains",
    "explain_end",
    "inherited_environment",
    "make_ray_folder",
    "own_address",
    "port_notice",
    "ray_folder",
    "remove_old_sessions",
    "start_command",
    "taken_port",
    "wide_ports",
]

FIRST_PORT = 8790
PORTS = 110  # of a node, from its first: Ray's node manager, object manager and, from the eleventh, its workers
STARTED = "Ray runtime started."
HEAD_LOST = "Failed to connect to GCS"
ENDED = re.compile(r"END (\w+)\.out tail \(exit code\(s\)=(-?\d+)")
POLL = 0.1  # seconds between two looks at Ray's output while it starts
START_TIMEOUT = 120.0  # seconds until Ray must have started
STOP_TIMEOUT = 15.0
BACKOFF, BACKOFF_MOST = 1.0, 10.0
HEAD_BACKOFF_MOST = 3.0  # everybody waits for it
STEADY = 60.0  # seconds after which a node counts as steady, and its next back-off is the first again
OBJECT_STORE_MB = 1024
MAX_SOCKET_FOLDER = 40  # characters: the path of a Unix socket below it has at most 107
ADDRESSES = ("BANANASTAND_DATABASE", "BANANASTAND_BLOBS")  # may have a password, and no node needs them
WIDE = ("::", "0.0.0.0")
NOISE = re.compile(r"^[\d-]+ [\d:,]+\s+(INFO|SUCC)|^\s*$")


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What a machine gives to the cluster.

    Attributes:
        address: Its address, by which all others reach it.
        cpus: CPUs; None for all.
        gpus: GPUs; None for all.
        labels: Labels, such as {"gpu": "a100"}.
        first_port: The first of its ports.
        object_store_mb: Memory for builds on their way to a node, in MiB.
    """

    address: str
    cpus: int | None = None
    gpus: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    first_port: int = FIRST_PORT
    object_store_mb: int = OBJECT_STORE_MB


def start_command(identity: Identity, options: NodeOptions, *, is_head: bool) -> list[str]:
    """Return the command line that runs Ray's part of a node in the foreground."""
    port = options.first_port
    where = ["--head", "--port", str(identity.cluster.ray_port)] if is_head else ["--address", identity.cluster.address]
    words = [sys.executable, "-m", "ray.scripts.scripts", "start", *where, "--block", "--log-color", "false"]
    values: dict[str, object] = {
        "node-ip-address": options.address,
        "node-name": identity.name,
        "node-manager-port": port,
        "object-manager-port": port + 1,
        "min-worker-port": port + 10,
        "max-worker-port": port + PORTS - 1,
        "num-cpus": options.cpus,
        "num-gpus": options.gpus,
        "labels": ",".join(f"{name}={value}" for name, value in options.labels.items()) or None,
        "object-store-memory": options.object_store_mb * 2**20,
        "include-log-monitor": "false",
        "temp-dir": ray_folder(identity),
    }
    if is_head:
        values["include-dashboard"] = "false"
    for name, value in values.items():
        if value is not None:
            words += [f"--{name}", str(value)]
    return [*words, "--disable-usage-stats"]


def ray_folder(identity: Identity) -> Path:
    """Return the folder for Ray's logs and sockets. Its path must be short, because of the sockets.

    Ray opens the folder itself to all users, so that it always lies in one that is private.
    """
    folder = identity.folder / "ray"
    if len(str(folder)) <= MAX_SOCKET_FOLDER:
        return folder
    digest = hashlib.sha256(str(identity.folder).encode()).hexdigest()[:12]
    return Path("/tmp") / f"bananastand-{os.getuid()}-{digest}" / "ray"


def make_ray_folder(identity: Identity) -> Path:
    """Create `ray_folder`. Raises OSError, also if somebody else owns the folder it lies in."""
    folder = ray_folder(identity)
    make_folder(folder)
    about = folder.parent.lstat()
    if about.st_uid != os.getuid() or not stat.S_ISDIR(about.st_mode):
        raise PermissionError(f"{folder.parent} belongs to somebody else: delete it")
    folder.parent.chmod(0o700)
    return folder


class RayProcess:
    """Keeps a Ray node running, and starts it again with back-off.

    Args:
        identity: The node's credentials.
        options: What the machine gives.
        say: Prints a line for whoever runs this.
        on_change: Called with whether the node is up.
        is_head: Whether it is the cluster's first machine.
    """

    def __init__(
        self,
        identity: Identity,
        options: NodeOptions,
        say: Callable[[str], None],
        on_change: Callable[[bool], None] = lambda is_up: None,
        *,
        is_head: bool = False,
    ) -> None:
        self.identity = identity
        self._options, self._say, self._on_change, self._is_head = options, say, on_change, is_head

    async def run(self, renew: Callable[[], Awaitable[tuple[Identity, NodeOptions]]] | None = None) -> None:
        """Run until cancelled; then everything of the node has ended.

        Args:
            renew: Called before each start but the first; returns the credentials and options for it.
        """
        pause, is_first = BACKOFF, True
        while True:
            begun = time.monotonic()
            try:
                if renew is not None and not is_first:
                    self.identity, self._options = await renew()
                reason = await self._run_once()
            except OSError as error:
                reason = str(error)
            is_first = False
            pause = BACKOFF if time.monotonic() - begun > STEADY else pause
            self._say(f"node {self.identity.name} lost: {reason}; starts again in {pause:.0f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, HEAD_BACKOFF_MOST if self._is_head else BACKOFF_MOST)

    async def _run_once(self) -> str:
        """Run Ray until it ends; returns the reason in words."""
        await asyncio.to_thread(end_remains, self.identity.folder)
        folder = make_ray_folder(self.identity)
        await asyncio.to_thread(remove_old_sessions, folder)
        environment = {**inherited_environment(), **self.identity.ray_environment()}
        environment["BANANASTAND_DATA"] = str(self.identity.folder)  # for the builds that are sent to this node
        if (port := taken_port(self._options.first_port)) is not None:
            return f"port {port} is taken by another program: end it, or choose others with --first-port"
        begun, log = time.monotonic(), self.identity.folder / "ray.log"
        with open(log, "wb", opener=open_private) as file:
            process = await asyncio.create_subprocess_exec(
                *start_command(self.identity, self._options, is_head=self._is_head),
                env=environment, start_new_session=True, cwd=folder,
                stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
        ending = asyncio.create_task(process.wait())
        try:
            while STARTED not in log.read_text(errors="replace") and not ending.done():
                if time.monotonic() - begun > START_TIMEOUT:
                    return f"Ray has not started within {START_TIMEOUT:.0f} s (see {log})"
                await asyncio.wait({ending}, timeout=POLL)
            if not ending.done():
                self._on_change(True)
                self._say(f"node {self.identity.name} {self._description()} after {time.monotonic() - begun:.1f} s")
                if ports := await asyncio.to_thread(wide_ports, self.identity.folder):
                    self._say(port_notice(map(str, ports)))
            status = await asyncio.shield(ending)
        finally:
            self._on_change(False)
            await self._end(process)
        return explain_end(status, log.read_text(errors="replace"))

    def _description(self) -> str:
        if self._is_head:
            return f"is the head of the cluster at {self.identity.cluster.address}"
        return f"joined {self.identity.cluster.address}"

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Stop Ray, and kill what is left of it."""
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
        except (TimeoutError, asyncio.CancelledError):
            with suppress(ProcessLookupError):
                process.kill()
        end_remains(self.identity.folder)


def explain_end(status: int, log: str) -> str:
    """Return why Ray has ended, in words, from what it has printed."""
    if HEAD_LOST in log:
        return "it has lost the head"
    if ended := ENDED.search(log):
        return f"its {ended[1]} has ended with status {ended[2]}"
    reasons = [line for line in log.splitlines() if not NOISE.match(line) and STARTED not in line]
    return f"Ray has ended with status {status}" + (f" ({reasons[-1].strip()[:300]})" if reasons else "")


def end_remains(folder: Path) -> None:
    """Kill what an earlier run of this node has left: processes that carry its folder; blocks for milliseconds."""
    for pid in find_marked(f"{FOLDER_VARIABLE}={folder}".encode()):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def taken_port(first: int) -> int | None:
    """Return which port of Ray's node manager and object manager is in use; None if both are free."""
    for port in (first, first + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                return port
    return None


def wide_ports(folder: Path) -> list[int]:
    """Return the ports on which a node's processes listen on all addresses of the machine; blocks for milliseconds.

    Args:
        folder: Of the node's credentials.
    """
    ports = set[int]()
    for pid in find_marked(f"{FOLDER_VARIABLE}={folder}".encode()):
        with suppress(psutil.Error):
            sockets = psutil.Process(pid).net_connections("tcp")
            ports |= {
                found.laddr.port for found in sockets if found.status == psutil.CONN_LISTEN and found.laddr.ip in WIDE
            }
    return sorted(ports)


def port_notice(ports: Iterable[str]) -> str:
    """Say that ports are open to every network of this machine, and what to do."""
    return (
        f"Ray listens on all addresses of this machine, on ports {', '.join(ports)}: have a firewall close them to all "
        "but the cluster's machines"
    )


def remove_old_sessions(folder: Path) -> None:
    """Remove Ray's logs of all runs but the last two."""
    sessions = sorted(path for path in folder.glob("session_20*") if path.is_dir() and not path.is_symlink())
    for path in sessions[:-2]:
        shutil.rmtree(path, ignore_errors=True)


def inherited_environment() -> dict[str, str]:
    """Return this process's variables without those that change how Ray behaves, and without secrets."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RAY_") and name not in ADDRESSES and not may_be_secret(name)
    }


def own_address(host: str) -> str:
    """Return the address from which this machine reaches a host. Raises OSError."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))
        return str(probe.getsockname()[0])
