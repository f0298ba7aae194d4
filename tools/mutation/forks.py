"""Runs jobs in forks of this process, several at once.

The process must not have started a thread, a server or an event loop before.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["each_in_a_fork", "ends_after"]

Job = Any
FOUND, DIED = "found.json", "died.txt"
_folder: Path | None = None  # of this fork


def each_in_a_fork(
    jobs: Sequence[Job], work: Callable[[Job], Any], workers: int, longest: float, until: float
) -> Iterator[tuple[Job, Any, float]]:
    """Runs each job in a fork.

    Args:
        jobs: What is passed to `work`.
        work: Runs in the fork and returns JSON.
        workers: How many forks run at once.
        longest: Seconds after which a fork is killed.
        until: The monotonic time after which no further job is started.

    Yields:
        Each job with the result of its fork and its seconds, in the order in which they end. The result of a fork that
        died is `{"died": reason}`.
    """
    left, running = list(reversed(jobs)), dict[int, tuple[Job, Path, float]]()
    while left or running:
        if time.monotonic() > until:
            left.clear()
        while left and len(running) < workers:
            job = left.pop()
            folder = Path(tempfile.mkdtemp(prefix="mutant-"))
            running[_fork(work, job, folder)] = (job, folder, time.monotonic())
        pid, _ = os.waitpid(-1, os.WNOHANG) if running else (0, 0)
        now = time.monotonic()
        for late in [value for value, (_, _, began) in running.items() if now - began > longest]:
            with contextlib.suppress(ProcessLookupError):  # it has ended in this very moment
                os.killpg(late, signal.SIGKILL)
        if pid == 0:
            time.sleep(0.005)
        elif pid in running:
            job, folder, began = running.pop(pid)
            found = _read(folder)
            shutil.rmtree(folder, ignore_errors=True)
            yield job, found, now - began


def ends_after(seconds: float, found: Any) -> None:
    """Ends this fork with the result `found` unless it ends, or calls this again, within so many seconds."""

    def end(number: int, frame: object) -> None:
        _write(found)
        os._exit(0)

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _fork(work: Callable[[Job], Any], job: Job, folder: Path) -> int:
    global _folder
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nowhere, number)
        os.environ["PYTEST_DEBUG_TEMPROOT"], _folder = str(folder), folder
        _write(work(job))
    except BaseException:
        (folder / DIED).write_text(traceback.format_exc())
    finally:
        os._exit(0)


def _write(found: Any) -> None:
    assert _folder is not None
    part = _folder / "part.json"
    part.write_text(json.dumps(found))
    part.rename(_folder / FOUND)


def _read(folder: Path) -> Any:
    if (found := folder / FOUND).exists():
        return json.loads(found.read_text())
    died = folder / DIED
    return {"died": died.read_text() if died.exists() else "killed, or hung"}
