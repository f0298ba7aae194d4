"""Kills what a keeper has started once the keeper is gone, however it ended.

A program, `python -I -S reaper.py NAME=VALUE`, that needs the standard library only. It leaves its parent's tree, waits
for the end of its standard input, whose other end the keeper holds, and kills every process with that variable in its
environment. What a killed keeper leaves would hold GPUs that others are given.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["find_marked", "start_reaper"]

PATIENCE = 10.0  # seconds in which processes may still turn up
PAUSE = 0.05


def start_reaper(mark: str) -> int:
    """Start a reaper, and return the descriptor at whose end it acts. Raises OSError.

    Args:
        mark: The variable and its value, as NAME=VALUE.
    """
    read, write = os.pipe()
    try:
        command = [sys.executable, "-I", "-S", __file__, mark]
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        subprocess.run(command, stdin=read, stdout=subprocess.DEVNULL, env=environment, check=True, timeout=30)
    except BaseException:
        os.close(write)
        raise
    finally:
        os.close(read)
    return write


def find_marked(mark: bytes) -> list[int]:
    """Return the ids of all processes that have the mark in their environment."""
    found = list[int]()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def _main(mark: bytes) -> None:
    if os.fork():  # so that it is nobody's child who ends with the keeper
        os._exit(0)
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    deadline, quiet = time.monotonic() + PATIENCE, 0
    while quiet < 3 and time.monotonic() < deadline:
        marked = find_marked(mark)
        for pid in marked:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        quiet = 0 if marked else quiet + 1
        time.sleep(PAUSE)


if __name__ == "__main__":
    _main(os.fsencode(sys.argv[1]))
