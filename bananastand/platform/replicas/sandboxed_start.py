"""Starts of replicas in a sandbox: what each of them sees, and a /tmp of its own while it runs."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..store.private_files import make_folder
from .process import Process
from .sandbox import SandboxedCommand, sandbox_command
from .start_command import StartCommand

__all__ = ["TEMPORARY", "remove_after_exit", "sandbox_start"]

TEMPORARY = "tmp"  # beside a build's stages: the folders that are /tmp of its replicas
NOTES = ".bananastand"  # what the builder keeps in a build's /tmp begins so


def sandbox_start(
    start: StartCommand,
    command: Sequence[str],
    workdir: str,
    environment: Mapping[str, str],
    *,
    visible: Sequence[str] = (),
    own_tmp: bool = True,
) -> tuple[SandboxedCommand, str | None]:
    """The command in its sandbox, and the folder that is its /tmp, to be removed after it. Raises OSError.

    Where the build has left files in /tmp, as an image may have, the app sees that one. own_tmp: not where it has a
    layer of its own over all of the tree.
    """
    assert start.root is not None, "only what has a file tree is sandboxed"
    walls, tmp = start.isolation_policy, None
    if walls is not None and own_tmp and not _has_files(Path(start.root, "tmp")):
        tmp = str(make_folder(Path(start.root).parent.parent / TEMPORARY / uuid.uuid4().hex[:12]))
        walls = replace(walls, tmp=tmp)
    made = sandbox_command(
        command, root=start.root, workdir=workdir, environment=environment, visible=visible, policy=walls
    )  # fmt: skip
    return made, tmp


def remove_after_exit(process: Process, folder: str | None) -> None:
    """Remove the folder when the process has ended."""
    if folder is not None:
        loop = asyncio.get_running_loop()
        process.on_exit(lambda: loop.run_in_executor(None, shutil.rmtree, folder, True))


def _has_files(folder: Path) -> bool:
    try:
        return any(not name.startswith(NOTES) for name in os.listdir(folder))
    except OSError:
        return False
