"""Starts a worker on a socket: it loads a program and serves its app, or lets the program be its own server."""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from typing import Any

from .frames import FrameSocket
from .session import WorkerSession
from .target import TargetError, run_target

__all__ = ["run_worker"]

CPU = "BANANASTAND_CPU"


def run_worker(program: list[str], connection: socket.socket, *, concurrency: int = 0, move: bool = False) -> int:
    """Run a program under the worker; returns its exit status.

    Args:
        program: The program and its arguments, as `target.run_target` takes them.
        connection: A stream socket of frames.
        concurrency: Handlers at once; 0 for what the app declares.
        move: Move listening sockets in Python, where the system does not.
    """
    os.set_inheritable(connection.fileno(), False)
    frames = FrameSocket(connection)
    session = WorkerSession(frames, concurrency=concurrency)
    if move:
        from .bind_patch import move_listeners

        move_listeners(lambda event: frames.send(dict(event, type="bound")))
    if os.environ.get(CPU) == "1":
        _prepare_cpu()
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))
    try:
        run_target(program, session.serve, needs_app=False)
    except TargetError as error:
        sys.stderr.write(f"cannot start: {error}\n")
        session.fail(program[0], error)
        return 2
    except SystemExit as error:
        return _status(error)
    except BaseException as error:
        traceback.print_exception(type(error), error, _own(error.__traceback__))
        session.fail(program[0], error)
        return 1
    return 0


def _prepare_cpu() -> None:
    from .cpu_only import redirect_cuda_to_cpu
    from .target import when_imported

    when_imported("torch", redirect_cuda_to_cpu)


def _own(trace: Any) -> Any:
    """Return the traceback from the program's own first line on, without the loader's."""
    folder = os.path.dirname(os.path.abspath(__file__))
    while trace is not None and trace.tb_next is not None:
        if os.path.dirname(os.path.abspath(trace.tb_frame.f_code.co_filename)) != folder:
            return trace
        trace = trace.tb_next
    return trace


def _status(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    sys.stderr.write(f"{error.code}\n")
    return 1
