"""A process that has imported what an app imports, and forks workers. It runs no app itself.

The socket carries packets of JSON: the first one it receives is {"modules": FILE}; it answers {"ready": seconds} or
{"refused": why}. A packet {"id", "folder", "environment", "program", "concurrency"} with two descriptors, for output
and for the worker's frames, starts a child in a session of its own. The child sends {"id", "pid"}, and when it has
ended the fork server sends {"pid", "status"}. The fork server never touches a GPU. It ends, with its children, when the
socket is closed.
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
from typing import Any

from .start import run_worker  # with all that a worker needs, imported before it forks

__all__ = ["run_fork_server"]

MAX_MESSAGE = 2**20  # bytes


def run_fork_server(packets: socket.socket) -> int:
    """Fork workers until the other end of the socket is closed; returns the exit status.

    Args:
        packets: A socket of packets (SOCK_SEQPACKET).
    """
    began = time.perf_counter()
    with open(json.loads(packets.recv(MAX_MESSAGE))["modules"], encoding="utf-8") as names:
        for name in json.load(names):
            with suppress(BaseException):  # what cannot be imported by itself is left to the app
                importlib.import_module(name)
    reason = _why_unsafe_to_fork()
    if reason:
        _send(packets, {"refused": reason})
        return 1
    gc.collect()
    gc.freeze()  # its pages stay shared
    _send(packets, {"ready": time.perf_counter() - began})
    return _ForkServer(packets).run()


def _why_unsafe_to_fork() -> str:
    """Return why a fork would not be safe; empty if it is."""
    if threading.active_count() > 1:
        return "what the app imports starts threads"
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "what the app imports uses the GPU at once"
    return ""


class _ForkServer:
    def __init__(self, packets: socket.socket) -> None:
        self._packets = packets
        self._children: set[int] = set()
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def run(self) -> int:
        while True:
            ready, _, _ = select.select([self._packets, self._woken], [], [])
            if self._woken in ready:
                with suppress(BlockingIOError):
                    os.read(self._woken, 4096)
                self._reap()
            if self._packets in ready and not self._fork_next():
                for pid in self._children:
                    with suppress(OSError):
                        os.killpg(pid, signal.SIGKILL)
                return 0

    def _fork_next(self) -> bool:
        size = array.array("i").itemsize
        raw, passed, _, _ = self._packets.recvmsg(MAX_MESSAGE, socket.CMSG_SPACE(2 * size))
        if not raw:
            return False
        descriptors = array.array("i")
        descriptors.frombytes(passed[0][2][: 2 * size])
        output, control = descriptors
        request = json.loads(raw)
        pid = os.fork()
        if pid == 0:
            self._become(request, output, control)
        os.close(output)
        os.close(control)
        self._children.add(pid)
        return True

    def _become(self, request: dict[str, Any], output: int, control: int) -> None:
        """Make the child a worker: with its own session, descriptors and environment."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            _send(
                self._packets, {"id": request["id"], "pid": os.getpid()}
            )  # the kernel adds the pid of the child outside of its namespace
            self._packets.close()
            os.dup2(output, 1)
            os.dup2(output, 2)
            for name, descriptor in (("stdout", 1), ("stderr", 2)):
                stream = open(descriptor, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
                setattr(sys, name, stream)
            os.environ.clear()
            os.environ.update(request["environment"])
            os.chdir(request["folder"])
            random.seed()
            numpy: Any = sys.modules.get("numpy")
            if numpy is not None:
                numpy.random.seed()
            program: list[str] = request["program"]
            status = run_worker(program, socket.socket(fileno=control), concurrency=request["concurrency"])
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
            code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            _send(self._packets, {"pid": pid, "status": code})


def _send(packets: socket.socket, message: dict[str, Any]) -> None:
    with suppress(OSError):
        packets.send(json.dumps(message).encode())
