"""Starts programs in sessions of their own, reads their output by lines, signals them and waits for their end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = [
    "Output",
    "Process",
    "describe_exit",
    "is_stopped",
    "resident_memory",
    "run_quietly",
    "spawn",
    "with_descendants",
]

CHUNK = 64 * 2**10
UNPRINTABLE_KEPT = "\t\x1b\x07"  # escape sequences stay whole, so that logs can be cleaned or shown raw
KILL_TIMEOUT = 5.0  # seconds after SIGKILL until a process counts as ended, reported or not
MAX_LINE = 64 * 2**10  # bytes of a line before it is cut


class Process:
    """The leader of a process group, which ends with it.

    Args:
        pid: Of the process and its group.
        exit_status: Done with the exit status, negative for a signal.
        output: What the process prints to.
        on_line: Called with each line of the output.

    Attributes:
        was_killed: Whether this object has sent it SIGKILL.
    """

    def __init__(
        self, pid: int, exit_status: asyncio.Future[int], output: Output, on_line: Callable[[str], None]
    ) -> None:
        self.pid, self._exit_status = pid, exit_status
        self.was_killed = False
        self._abandoned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(output, on_line))

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        if self._exit_status.done():
            return self._exit_status.result()
        return -signal.SIGKILL if self._abandoned.done() else None

    async def ended(self) -> int:
        """Wait until it has ended, kill the rest of its group, and return the exit status."""
        await asyncio.wait({self._exit_status, self._abandoned}, return_when=asyncio.FIRST_COMPLETED)
        self.signal(signal.SIGKILL)
        await asyncio.wait({self._reader}, timeout=1.0)  # a process outside of the group may hold the pipe
        self._reader.cancel()
        return self._exit_status.result() if self._exit_status.done() else -signal.SIGKILL

    def on_exit(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the process has ended."""
        self._exit_status.add_done_callback(lambda _: callback())

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; SIGKILL also reaches descendants that have left the group."""
        is_final = number == signal.SIGKILL and self.status is None
        self.was_killed = self.was_killed or is_final
        descendants = with_descendants(self.pid) if is_final else []
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        for pid in descendants:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def kill(self) -> None:
        """Send SIGKILL; after `KILL_TIMEOUT` seconds it counts as ended, even if a hanging parent reports nothing."""
        self.signal(signal.SIGKILL)
        asyncio.get_running_loop().call_later(KILL_TIMEOUT, self._abandon)

    def _abandon(self) -> None:
        if not self._abandoned.done():
            self._abandoned.set_result(None)

    async def stop(self, grace: float) -> int:
        """Send SIGTERM, and SIGKILL after `grace` seconds; returns the exit status."""
        if self.status is None:
            self.signal(signal.SIGTERM)
            await asyncio.wait({self._exit_status}, timeout=grace)
        self.kill()
        return await self.ended()

    async def _read(self, output: Output, on_line: Callable[[str], None]) -> None:
        rest = b""
        try:
            while chunk := await output.stream.read(CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > MAX_LINE:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    on_line(_clean(line))
        finally:
            output.close()
        if rest:
            on_line(_clean(rest))


@dataclass(frozen=True, slots=True)
class Output:
    """The reading end of a pipe that programs print to.

    uvloop's own pipes are sockets, and no program can open a socket as /dev/stdout, which supervisord, gunicorn and
    shell scripts do. So the pipe is made with `os.pipe`.
    """

    stream: asyncio.StreamReader
    close: Callable[[], None]

    @classmethod
    async def of(cls, descriptor: int) -> Output:
        """Read from the reading end of a pipe, and own it."""
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(descriptor, "rb", 0)
        )
        return cls(stream, transport.close)


async def spawn(
    command: Sequence[str],
    folder: str | None,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    *,
    pass_fds: Sequence[int] = (),
) -> Process:
    """Start a program in a session of its own.

    Args:
        command: The program and its arguments.
        folder: The working directory; None for this process's.
        environment: All of the program's environment variables.
        on_line: Called with each line that it prints.
        pass_fds: File descriptors that it inherits.

    Raises:
        OSError: The program cannot be started.
    """
    read, write = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
    return Process(process.pid, asyncio.ensure_future(process.wait()), await Output.of(read), on_line)


async def run_quietly(command: Sequence[str], environment: Mapping[str, str], seconds: float) -> None:
    """Run a program, ignore its output and exit status, and stop it after `seconds`."""
    with suppress(OSError):
        process = await spawn(command, None, environment, lambda line: None)
        try:
            async with asyncio.timeout(seconds):
                await process.ended()
        except TimeoutError:
            await process.stop(0.0)


def resident_memory(pid: int) -> int:
    """Return the bytes of memory that a process and its descendants hold; 0 for one that has ended."""
    total = 0
    for descendant in with_descendants(pid):
        with suppress(psutil.Error):
            total += psutil.Process(descendant).memory_info().rss
    return total


def is_stopped(pid: int) -> bool:
    """Whether a process, or one of its descendants, is stopped by a signal."""
    for descendant in with_descendants(pid):
        with suppress(psutil.Error):
            if psutil.Process(descendant).status() == psutil.STATUS_STOPPED:
                return True
    return False


def describe_exit(status: int) -> str:
    """Put an exit status in words, such as `with status 1` or `by SIGKILL`."""
    if status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"


def with_descendants(pid: int) -> list[int]:
    """Return the ids of a process and of all its descendants, parents first."""
    found = [pid]
    for parent in found:  # grows meanwhile
        with suppress(psutil.Error, OSError):
            found += _children(parent)
    return found


def _children(pid: int) -> list[int]:
    if sys.platform != "linux":
        return [child.pid for child in psutil.Process(pid).children()]
    # psutil looks at every process of the machine; the kernel lists the children of one.
    lists = [(task / "children").read_text().split() for task in Path(f"/proc/{pid}/task").iterdir()]
    return [int(child) for children in lists for child in children]


def _clean(line: bytes) -> str:
    """Decode a line without unprintable characters; of a progress bar's line, the last state stays."""
    text = line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
    return "".join(character for character in text if character.isprintable() or character in UNPRINTABLE_KEPT)
