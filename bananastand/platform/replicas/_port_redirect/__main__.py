"""Runs a program whose listening TCP sockets are moved to private ports of 127.0.0.1.

`python -I -S _port_redirect EVENTS_FD -- COMMAND...` runs COMMAND with a seccomp filter that hands each `bind` and
`connect` of it and its descendants to this process, which then

- binds a TCP socket for 0.0.0.0:8000 to a free port of 127.0.0.1, and reports it, and
- connects the same program to that port when it connects to port 8000 of this machine.

So several replicas with one fixed port run side by side, and none of them listens outside of loopback. Other
connections, UDP and Unix sockets run as they are. Programs that call `setsid` (forked replicas) have ports of their
own: moved ports are recorded by session.

Events are lines of JSON: {"redirect": true} or {"redirect": false, "reason": ...} first, then for each socket
{"bound": 8000, "address": "127.0.0.1", "port": 41234, "session": PID}. `--probe` in place of EVENTS_FD prints the
first event and ends. Linux and the standard library only.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import NoReturn

import seccomp
from supervisor import Supervisor, emit, wait_for

__all__ = ["main"]

SET_PDEATHSIG = 1  # prctl(2)
SERVER = "import socket; s = socket.socket(); s.bind(('0.0.0.0', 8000)); s.listen(); print(s.getsockname())"


def main(arguments: list[str]) -> int:
    """Run the command to its end; returns its exit status."""
    if arguments[:1] == ["--probe"]:
        return _probe()
    events = os.fdopen(int(arguments[0]), "w", buffering=1)
    os.set_inheritable(events.fileno(), False)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        ours.close()
        _run_filtered(arguments[2:], theirs)
    theirs.close()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # the group gets them: the program decides
        signal.signal(number, signal.SIG_IGN)
    listener, reason = _receive_listener(ours)
    ours.close()
    if listener is None:
        emit(events, f'{{"redirect": false, "reason": "{reason}"}}')
        return wait_for(child)
    emit(events, '{"redirect": true}')
    return Supervisor(listener, child, events).run()


def _probe() -> int:
    """Move the socket of a small server and print the outcome as an event; returns 0 if the kernel allowed it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(main([str(write), "--", sys.executable, "-I", "-S", "-c", SERVER]))
    os.close(write)
    with os.fdopen(read) as file:
        lines = file.read().splitlines()
    if wait_for(pid) == 0 and len(lines) == 2 and '"bound": 8000' in lines[1]:
        print(lines[0])  # noqa: T201
        return 0
    reason = lines[0] if lines and "reason" in lines[0] else '{"redirect": false, "reason": "sockets are not moved"}'
    print(reason)  # noqa: T201
    return 1


def _run_filtered(command: list[str], connection: socket.socket) -> NoReturn:
    """Install the filter, send its listener to the parent, and become the program, which ends with its parent."""
    try:
        seccomp.LIBC.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        listener = seccomp.install_filter()
        if isinstance(listener, str):
            connection.send(listener.encode())
        else:
            socket.send_fds(connection, [b"ok"], [listener])
            os.close(listener)
        connection.close()
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: cannot be run: {error.strerror}\n")
    finally:
        os._exit(127)


def _receive_listener(connection: socket.socket) -> tuple[int | None, str]:
    """Return the filter's listener, or None and the reason."""
    message, descriptors, _, _ = socket.recv_fds(connection, 1024, 1)
    if descriptors:
        return descriptors[0], ""
    return None, message.decode() or "the program could not be started"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
