"""A process that has imported what an app imports and forks servers of it. Knows Potassium's host; runs no app itself.

`python -P -m bananastand.serving.parent FD MODULES`: FD is a Unix socket of messages, MODULES a file with the names
that an earlier start of the app had imported (`imports.note`). It says {"ready": seconds} or {"refused": why}. A
message {"id", "folder", "environment", "target", "options"} with a descriptor for output becomes a child in a session
of its own; the answers are {"id", "pid", "seconds"} and, when it ends, {"pid", "status"}. The parent never touches a
card, and it ends, with its children, when the socket does.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["main"]

LONGEST = 2**20  # bytes of a message
ALSO = ("bananastand.serving.server", "potassium")


def main(arguments: list[str]) -> int:
    """Until the socket's other end is closed."""
    began = time.perf_counter()
    line = socket.socket(fileno=int(arguments[0]))
    for name in (*ALSO, *json.loads(Path(arguments[1]).read_text(encoding="utf-8"))):
        with suppress(BaseException):  # what cannot be imported by itself is left to the app
            importlib.import_module(name)
    if why := _unfit():
        _send(line, {"refused": why})
        return 1
    gc.collect()
    gc.freeze()  # its pages stay shared
    _send(line, {"ready": time.perf_counter() - began})
    return _Parent(line).run()


def _unfit() -> str | None:
    """Why it would not be safe to fork."""
    if threading.active_count() > 1:
        return "what the app imports starts threads"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "what the app imports uses the card at once"
    return None


class _Parent:
    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._children: set[int] = set()
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def run(self) -> int:
        while True:
            ready, _, _ = select.select([self._line, self._woken], [], [])
            if self._woken in ready:
                with suppress(BlockingIOError):
                    os.read(self._woken, 4096)
                self._reap()
            if self._line in ready and not self._take():
                for pid in self._children:
                    with suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)
                return 0

    def _take(self) -> bool:
        size = array.array("i").itemsize
        raw, passed, _, _ = self._line.recvmsg(LONGEST, socket.CMSG_SPACE(size))
        if not raw:
            return False
        output = array.array("i", passed[0][2][:size])[0]
        asked, began = json.loads(raw), time.perf_counter()
        pid = os.fork()
        if pid == 0:
            self._become(asked, output)
        os.close(output)
        self._children.add(pid)
        _send(self._line, {"id": asked["id"], "pid": pid, "seconds": time.perf_counter() - began})
        return True

    def _become(self, asked: dict[str, Any], output: int) -> None:
        """The child: another session, other ends, another environment; then the server, as `serve` runs it."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            self._line.close()
            os.dup2(output, 1)
            os.dup2(output, 2)
            for stream in (sys.stdout, sys.stderr):
                stream.reconfigure(line_buffering=True, write_through=True)  # type: ignore[union-attr]
            os.environ.clear()
            os.environ.update(asked["environment"])
            os.chdir(asked["folder"])
            random.seed()
            if (numpy := sys.modules.get("numpy")) is not None:
                numpy.random.seed()
            from .options import Options
            from .server import serve

            status = serve(asked["target"], Options(**asked["options"]))
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            with suppress(BaseException):
                sys.stdout.flush()
            os._exit(status)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._children.discard(pid)
            _send(self._line, {"pid": pid, "status": os.waitstatus_to_exitcode(status)})


def _send(line: socket.socket, message: dict[str, Any]) -> None:
    with suppress(OSError):
        line.send(json.dumps(message).encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
