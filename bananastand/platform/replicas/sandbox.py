"""Runs a program in a mount namespace whose root is a build's file tree: /app and /weights.txt are the build's.

It needs bubblewrap (`bwrap`). The machine's programs and libraries are mounted read-only. Without an isolation policy
an app gets its paths and no isolation; with one it sees only its own processes and files (`isolation_policy`).
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .bind_mounts import Mount, create_mount_points, create_tmp_mount_points, path_inside, system_mounts
from .isolation_policy import IsolationPolicy
from .visible_paths import hub_cache_mounts, required_mounts

__all__ = ["SandboxedCommand", "environment_inside", "sandbox_command", "sandbox_problem"]

# bwrap stays as the parent of the program. It must outlive a SIGTERM to the group, or the program cannot drain.
IGNORE_TERM = ("env", "--ignore-signal=TERM")
DEFAULT_TERM = ("env", "--default-signal=TERM")
HOME = "/root"
# Variables of the machine that would lead an app out of its own tree.
DROPPED = ("TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
PROBE = (
    "import os, sys; os.write(int(sys.argv[1]), b'fd'); open('/probe.txt', 'w').write(os.getcwd()); raise SystemExit(7)"
)


@dataclass(frozen=True, slots=True)
class SandboxedCommand:
    """A command that can be started from any folder.

    Attributes:
        command: The command.
        environment: The environment of the command.
        workdir: The working directory inside of the sandbox.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    workdir: str


def sandbox_command(
    command: Sequence[str],
    *,
    root: str,
    workdir: str,
    environment: Mapping[str, str],
    visible: Sequence[str] = (),
    writable: Sequence[str] = (),
    policy: IsolationPolicy | None = None,
) -> SandboxedCommand:
    """Turn a command into one that sees `root` as /.

    Paths below `root` in the command, `workdir` and `environment` become the image's own: ROOT/app is /app. The tree
    is mounted at its machine path too. The program inherits file descriptors and all other variables. HOME is /root
    unless it lies in the tree.

    Args:
        command: The program and its arguments.
        root: The build's file tree, `Launch.root`.
        workdir: A folder of the image, or its place on this machine.
        environment: The complete environment of the program.
        visible: Further files and folders of this machine, writable, at their own paths.
        writable: Paths of the image, in system folders too, that the program writes.
        policy: Its isolation; None for a root of its own without isolation.
    """
    root = os.path.abspath(root)
    values = environment_inside(environment, root)
    needed = required_mounts(command, environment, root, visible, policy)
    mounts = [*system_mounts(root, writable, devices=policy is None), *needed, *hub_cache_mounts(values, root, policy)]
    if policy is not None:
        mounts = list(policy.cover_data_directory(mounts))
    create_mount_points(root, [*mounts, *(Mount(path, path, "device") for path in ("/dev", "/proc", "/sys"))])
    folder = path_inside(workdir, root)
    bwrap = [shutil.which("bwrap") or "bwrap", "--bind", root, "/"]
    if policy is not None and policy.tmp is not None:
        create_tmp_mount_points(policy.tmp, mounts)
        bwrap += ["--bind", policy.tmp, "/tmp"]
    for mount in mounts:
        bwrap += mount.bwrap_arguments()
    limits: tuple[str, ...] = ()
    if policy is not None:
        bwrap += policy.bwrap_arguments(mounts, root)
        limits = policy.process_limit_command()
    words = [_translated(word, root) for word in command]
    return SandboxedCommand(
        (*IGNORE_TERM, *bwrap, "--chdir", folder, "--", *limits, *DEFAULT_TERM, *words), values, folder
    )


def environment_inside(environment: Mapping[str, str], root: str) -> dict[str, str]:
    """Translate a program's environment to one where `root` is /."""
    values = {name: _translated(value, root) for name, value in environment.items()}
    for name in DROPPED:
        if values.get(name) == environment.get(name):
            values.pop(name, None)
    if values.get("HOME") == environment.get("HOME") or not values.get("HOME"):
        values["HOME"] = HOME
    return values


def _translated(value: str, root: str) -> str:
    """Translate the paths below the root in a value, one or several between colons, to those of the image."""
    if root not in value:
        return value
    return ":".join(path_inside(part, root) if _below(part, root) else part for part in value.split(":"))


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


@functools.cache
def sandbox_problem() -> str | None:
    """Return why sandboxes do not work here; None where they do. The result of one real try is cached."""
    if not sys.platform.startswith("linux"):
        return "mount namespaces are Linux's"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (apt-get install bubblewrap)"
    with tempfile.TemporaryDirectory(prefix="bananastand-probe-") as folder:
        root = Path(folder, "root")
        (root / "app").mkdir(parents=True)
        reader, writer = os.pipe()
        try:
            command = (sys.executable, "-I", "-S", "-c", PROBE, str(writer))
            sandboxed = sandbox_command(command, root=str(root), workdir="/app", environment=dict(os.environ))
            done = subprocess.run(
                sandboxed.command,
                cwd="/",
                env=sandboxed.environment,
                pass_fds=(writer,),
                capture_output=True,
                text=True,
                timeout=20,
            )
            os.close(writer)
            writer = -1
            passed = os.read(reader, 8)
        except (OSError, subprocess.SubprocessError) as error:
            return f"bubblewrap cannot be tried: {error}"
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)
        probe = root / "probe.txt"
        if done.returncode != 7 or passed != b"fd" or not probe.is_file() or probe.read_text() != "/app":
            last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            return f"bubblewrap does not work here: {last}"
    return None
