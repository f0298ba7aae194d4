"""Puts the start of a replica into its sandbox, with a /tmp of its own while it runs."""

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
BUILDER_PREFIX = ".bananastand"  # of the builder's own files in a build's /tmp


def sandbox_start(
    start: StartCommand,
    command: Sequence[str],
    workdir: str,
    environment: Mapping[str, str],
    *,
    visible: Sequence[str] = (),
    own_tmp: bool = True,
) -> tuple[SandboxedCommand, str | None]:
    """Put a command into its sandbox.

    Where the build has files in /tmp, as an image may have, the app gets the build's /tmp.

    Args:
        start: Of the replica.
        command: The program and its arguments.
        workdir: The working directory, on this machine or in the image.
        environment: Of the program.
        visible: Further paths that the program sees.
        own_tmp: Whether it needs a /tmp of its own, as it has no writable layer over all of the tree.

    Returns:
        The command, and the folder that is its /tmp, to be removed after it.

    Raises:
        OSError: The folder cannot be made.
    """
    assert start.root is not None, "only what has a file tree is sandboxed"
    policy, tmp = start.isolation_policy, None
    if policy is not None and own_tmp and not _has_files(Path(start.root, "tmp")):
        tmp = str(make_folder(Path(start.root).parent.parent / TEMPORARY / uuid.uuid4().hex[:12]))
        policy = replace(policy, tmp=tmp)
    sandboxed = sandbox_command(
        command, root=start.root, workdir=workdir, environment=environment, visible=visible, policy=policy
    )
    return sandboxed, tmp


def remove_after_exit(process: Process, folder: str | None) -> None:
    """Remove a folder when a process has ended."""
    if folder is not None:
        loop = asyncio.get_running_loop()
        process.on_exit(lambda: loop.run_in_executor(None, shutil.rmtree, folder, True))


def _has_files(folder: Path) -> bool:
    try:
        return any(not name.startswith(BUILDER_PREFIX) for name in os.listdir(folder))
    except OSError:
        return False
