"""Runs a build's programs, each in a process group of its own that ends with the build."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..environment import inherited
from ..replicas.process import Output

__all__ = ["output", "run"]

GRACE = 2.0  # seconds between asking and killing
CHUNK = 65536
ALLOWED = ("DOCKER_", "CONTAINER_", "CONTAINERS_", "BUILDAH_", "REGISTRY_", "PIP_", "UV_", "CONDA_")


async def run(
    command: Sequence[str],
    *,
    log: Callable[[str], None],
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> int:
    """Run a program to its end; processes that it leaves in the background are killed.

    Args:
        command: The program and its arguments.
        log: Called with each line of its output, standard error included.
        cwd: Its working directory.
        environment: Its variables; None for the platform's own, as far as a build may see them.
        stdin: Its standard input; None for none.

    Returns:
        Its exit status.
    """
    read, write = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=_environment(environment),
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=write,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
    reader = asyncio.create_task(_relay(await Output.of(read), log))
    try:
        if stdin is not None and process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(stdin)
                await process.stdin.drain()
            process.stdin.close()
        status = await process.wait()
        _signal(process.pid, signal.SIGKILL)
        await reader
        return status
    except BaseException:
        await asyncio.shield(_end(process))
        reader.cancel()
        raise


async def output(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    seconds: float = 60.0,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run a program and return its exit status and standard output.

    The status is 127 where the program is missing, and 124 after `seconds`.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=_environment(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError):
        return 127, ""
    try:
        async with asyncio.timeout(seconds):
            text, _ = await process.communicate()
    except TimeoutError:
        await _end(process)
        return 124, ""
    except BaseException:
        await asyncio.shield(_end(process))
        raise
    return process.returncode or 0, text.decode("utf-8", "replace").strip()


def _environment(environment: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables, by default the platform's own that a build may see."""
    return inherited(os.environ, *ALLOWED) if environment is None else dict(environment)


async def _relay(output: Output, log: Callable[[str], None]) -> None:
    """Pass on lines, which end at a newline or, as in progress bars, at a carriage return."""
    held = b""
    try:
        while chunk := await output.stream.read(CHUNK):
            *lines, held = re.split(rb"[\r\n]+", held + chunk)
            for line in lines:
                if line.strip():
                    log(line.decode("utf-8", "replace").rstrip())
            if len(held) > CHUNK:
                log(held.decode("utf-8", "replace"))
                held = b""
    finally:
        output.close()
    if held.strip():
        log(held.decode("utf-8", "replace").rstrip())


async def _end(process: asyncio.subprocess.Process) -> None:
    _signal(process.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), GRACE)
    _signal(process.pid, signal.SIGKILL)
    await process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
