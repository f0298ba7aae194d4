"""A process of ours in a session of its own, with its lines. Knows no replica and no HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Output", "Process", "is_stopped", "run_quietly", "resident_memory", "spawn"]

CHUNK = 64 * 2**10
KEPT = "\t\x1b\x07"  # of what cannot be printed: with an escape sequence its end
KILLED = 5.0  # seconds after SIGKILL in which an end is reported
LONGEST = 64 * 2**10  # bytes of a line before it is cut


class Process:
    """The leader of a process group; ending it ends the group."""

    def __init__(self, pid: int, end: asyncio.Future[int], output: Output, on_line: Callable[[str], None]) -> None:
        self.pid, self._end = pid, end
        self._abandoned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(output, on_line))

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        if self._end.done():
            return self._end.result()
        return -signal.SIGKILL if self._abandoned.done() else None

    async def ended(self) -> int:
        """Wait for its end; what is left of its group is killed then."""
        await asyncio.wait({self._end, self._abandoned}, return_when=asyncio.FIRST_COMPLETED)
        self.signal(signal.SIGKILL)
        await asyncio.wait({self._reader}, timeout=1.0)  # somebody outside the group may hold the pipe
        self._reader.cancel()
        return self._end.result() if self._end.done() else -signal.SIGKILL

    def on_exit(self, callback: Callable[[], object]) -> None:
        """Have this called once it has ended."""
        self._end.add_done_callback(lambda _: callback())

    def signal(self, number: int) -> None:
        """To the whole group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """SIGKILL. It counts as ended after some seconds, though its parent may hang and report nothing."""
        self.signal(signal.SIGKILL)
        asyncio.get_running_loop().call_later(KILLED, self._abandon)

    def _abandon(self) -> None:
        if not self._abandoned.done():
            self._abandoned.set_result(None)

    async def stop(self, grace: float) -> int:
        """SIGTERM, and SIGKILL after so many seconds."""
        if self.status is None:
            self.signal(signal.SIGTERM)
            await asyncio.wait({self._end}, timeout=grace)
        self.kill()
        return await self.ended()

    async def _read(self, output: Output, on_line: Callable[[str], None]) -> None:
        rest = b""
        try:
            while chunk := await output.stream.read(CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > LONGEST:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    _tell(line, on_line)
        finally:
            output.close()
        if rest:
            _tell(rest, on_line)


@dataclass(frozen=True, slots=True)
class Output:
    """The reading end of a pipe that programs print to.

    It is a pipe of ours because uvloop's own are sockets, and no program can open a socket as /dev/stdout, which
    supervisord, gunicorn and shell scripts do.
    """

    stream: asyncio.StreamReader
    close: Callable[[], None]

    @classmethod
    async def of(cls, descriptor: int) -> Output:
        """Take over the reading end of a pipe."""
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
    """Start it. Raises OSError."""
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
    """Run a program that nobody asks about afterwards; it ends with its time at the latest."""
    with suppress(OSError):
        process = await spawn(command, None, environment, lambda line: None)
        try:
            async with asyncio.timeout(seconds):
                await process.ended()
        except TimeoutError:
            await process.stop(0.0)


def resident_memory(pid: int) -> int:
    """Bytes of memory that a process and its descendants hold; 0 where the system does not tell."""
    total = 0
    with suppress(OSError, ValueError, IndexError):
        total = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(resident_memory(int(child)) for child in (task / "children").read_text().split())
    return total


def is_stopped(pid: int) -> bool:
    """Whether a process, or one of its descendants, is stopped by a signal; False where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        folder = Path(f"/proc/{pid}")
        if (folder / "stat").read_text().rpartition(")")[2].split()[0] == "T":
            return True
        for task in (folder / "task").iterdir():
            if any(is_stopped(int(child)) for child in (task / "children").read_text().split()):
                return True
    return False


def _tell(line: bytes, on_line: Callable[[str], None]) -> None:
    """A progress bar's line is what it says last."""
    text = line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
    on_line("".join(each for each in text if each.isprintable() or each in KEPT))
