"""Makes the isolation policy of builds and replicas that are processes, as far as this machine supports one."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from ..errors import Refused
from .isolation_policy import IsolationPolicy, user_paths
from .sandbox import sandbox_command, sandbox_problem

__all__ = ["CHOICES", "Isolation", "describe_isolation", "isolation_problem", "make_isolation_policy"]

Isolation = Literal["auto", "sandbox", "none"]
CHOICES: tuple[str, ...] = get_args(Isolation)
PROBE = """
import os, socket
socket.create_server(("127.0.0.1", 0)).close()
assert os.getpid() < 20 and os.listdir("/proc") and not os.path.exists(HIDDEN), "it sees more than it should"
for name in ("null", "zero", "urandom", "shm"):
    assert os.path.exists(f"/dev/{name}"), name
open("/dev/shm/probe", "w").close()
raise SystemExit(7)
"""


@functools.cache
def isolation_problem() -> str | None:
    """Return why isolation does not work here; None where it does. The result of one real try is cached."""
    if (reason := sandbox_problem()) is not None:
        return reason
    with tempfile.TemporaryDirectory(prefix="bananastand-probe-") as folder:
        root, data = Path(folder, "data", "builds", "probe", "stage0", "root"), Path(folder).resolve() / "data"
        (root / "app").mkdir(parents=True)
        (data / "secret").touch()
        code = PROBE.replace("HIDDEN", repr(str(data / "secret")))
        try:
            policy = IsolationPolicy(str(data), user_paths=user_paths(), processes=4096)
            command = (sys.executable, "-I", "-S", "-c", code)
            sandboxed = sandbox_command(
                command, root=str(root), workdir="/app", environment=dict(os.environ), policy=policy
            )
            done = subprocess.run(
                sandboxed.command,
                cwd="/",
                env=sandboxed.environment,
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return f"bubblewrap cannot be tried: {error}"
    if done.returncode == 7:
        return None
    last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    return f"bubblewrap can give a program its paths here, but no processes of its own: {last}"


def make_isolation_policy(
    isolation: str,
    data: Path,
    *,
    network: bool = True,
    processes: int | None = None,
    named: Mapping[str, str] | None = None,
) -> IsolationPolicy | None:
    """Make the isolation policy of a replica or a build's step; returns None for no isolation.

    Args:
        isolation: "auto" for what works here, "sandbox" to refuse less, or "none".
        data: The data directory.
        network: Whether replicas have the machine's network.
        processes: The limit of processes and threads of a replica.
        named: Variables of the deploy, whose paths are visible.

    Raises:
        Refused: The isolation is unknown, or is not possible here.
    """
    if isolation not in CHOICES:
        raise Refused(f"isolation: {isolation[:50]!r} is none of {', '.join(CHOICES)}")
    if not network and isolation == "none":
        raise Refused('network "none" needs isolation: leave isolation at "auto", or the network at "machine"')
    reason = isolation_problem() if isolation != "none" else "it is switched off"
    if reason is not None:
        if isolation == "sandbox" or not network:
            option = "isolation sandbox" if isolation == "sandbox" else 'network "none"'
            raise Refused(f"{option} is not possible here: {reason}. --isolation auto runs apps with less")
        return None
    real = Path(os.path.realpath(data))
    paths = {part for value in (named or {}).values() for part in value.split(":") if part.startswith("/")}
    return IsolationPolicy(
        str(real), caches=_caches(real), named_paths=tuple(sorted(paths)), user_paths=user_paths(), network=network,
        processes=processes,
    )  # fmt: skip


def describe_isolation(isolation: str, *, network: bool = True) -> str:
    """Return a line for the start: the isolation in force, and why it is not more."""
    if isolation != "none" and isolation_problem() is None:
        who = "each as root without capabilities" if os.geteuid() == 0 else "each in a user namespace"
        out = "" if network else "; no network"
        return f"isolation: bubblewrap: apps see their own files and processes, {who}{out}; the GPU is the machine's"
    why = "it is switched off" if isolation == "none" else isolation_problem()
    return f"isolation: none: apps can read what this user can; deploy only what you trust ({why})"


def _caches(data: Path) -> tuple[str, ...]:
    """Weights that all projects share: builds fetch them, replicas read them."""
    from ..hub_cache import hub_cache

    return (str(data / "cache" / "huggingface"), os.path.realpath(hub_cache(os.environ)))
