"""Kills what a supervisor has started once the supervisor is gone, however it ended: a platform, or a node's keeper.

A program, `python -I -S reaper.py NAME=VALUE`, that needs the standard library only. It leaves its parent's tree, waits
for the end of its standard input, whose other end the supervisor holds, and kills every process with that variable in
its environment, with its descendants. It removes the containers that have the value in their label. What a killed
supervisor leaves would hold GPUs that others are given.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["end_reapers", "find_marked", "remove_containers", "start_reaper", "stop_reaper"]

PATIENCE = 10.0  # seconds in which processes may still turn up
PAUSE = 0.05
ENGINES = ("docker", "podman")
FOR_ENGINES = ("PATH", "HOME", "XDG_RUNTIME_DIR", "DOCKER_", "CONTAINER")  # names of variables, or their beginning


def start_reaper(mark: str) -> int:
    """Start a reaper, and return the descriptor at whose end it acts. Raises OSError.

    Args:
        mark: The variable and its value, as NAME=VALUE.
    """
    read, write = os.pipe()
    try:
        command = [sys.executable, "-I", "-S", __file__, mark]
        environment = {name: value for name, value in os.environ.items() if name.startswith(FOR_ENGINES)}
        subprocess.run(command, stdin=read, stdout=subprocess.DEVNULL, env=environment, check=True, timeout=30)
    except BaseException:
        os.close(write)
        raise
    finally:
        os.close(read)
    return write


def stop_reaper(descriptor: int) -> None:
    """End a reaper that has nothing to do any more."""
    with suppress(BrokenPipeError):  # it was killed
        os.write(descriptor, b".")
    os.close(descriptor)


def end_reapers(mark: str) -> None:
    """Kill the reapers of an earlier supervisor, which would kill what the next one starts."""
    for pid in _find("cmdline", os.fsencode(mark)):
        _kill(pid)


def find_marked(mark: bytes) -> list[int]:
    """Return the ids of all processes that have the mark in their environment."""
    return _find("environ", mark)


def remove_containers(label: str) -> list[str]:
    """Remove containers, which outlive their client. Those of buildah are processes, and only their files are left.

    Args:
        label: Of a supervisor.

    Returns:
        What was removed, a sentence for each engine.
    """
    reports = list[str]()
    for engine in filter(shutil.which, ENGINES):
        with suppress(OSError, subprocess.TimeoutExpired):
            containers = _output(engine, "ps", "--all", "--quiet", "--filter", f"label=bananastand={label}").split()
            if containers:
                _output(engine, "rm", "--force", *containers)
                reports.append(f"removed {len(containers)} containers of {engine} that a killed supervisor had left")
    return reports


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout


def _find(file: str, word: bytes) -> list[int]:
    """Return the ids of processes that have a word in their `environ` or `cmdline`."""
    found = list[int]()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if word in (folder / file).read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def _with_descendants(pids: list[int]) -> list[int]:
    found = list(pids)
    for parent in found:  # grows meanwhile
        with suppress(OSError):
            lists = [(task / "children").read_text().split() for task in Path(f"/proc/{parent}/task").iterdir()]
            found += [pid for child in lists for pid in map(int, child) if pid not in found]
    return found


def _kill(pid: int) -> None:
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _main(mark: str) -> None:
    if os.fork():  # so that it is nobody's child who ends with the supervisor
        os._exit(0)
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.read(0, 1):
        return
    deadline, quiet = time.monotonic() + PATIENCE, 0
    while quiet < 3 and time.monotonic() < deadline:
        marked = _with_descendants(find_marked(os.fsencode(mark)))
        for pid in marked:
            _kill(pid)
        quiet = 0 if marked else quiet + 1
        time.sleep(PAUSE)
    remove_containers(mark.partition("=")[2])


if __name__ == "__main__":
    _main(sys.argv[1])
