"""Answers the kernel for a program's `bind` and `connect` calls: its TCP listeners move to private ports.

It is the reaper of the program's descendants: one that leaves its session, its group and its parents stays below this
process, and ends with the program.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import struct
import threading
import time
from typing import TextIO

import seccomp

__all__ = ["Supervisor", "emit", "wait_for"]

SET_CHILD_SUBREAPER = 36  # prctl(2)
END_SECONDS = 5.0  # for killed descendants to be gone


def emit(events: TextIO, line: str) -> None:
    """Write an event; one that nobody reads any more is dropped."""
    with contextlib.suppress(OSError):
        events.write(f"{line}\n")


def wait_for(child: int) -> int:
    """Wait for a child and return its exit status; a signal that ended it ends this process too."""
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


class Supervisor:
    """Answers the kernel for one program and its descendants.

    Args:
        listener: The descriptor of the filter's listener.
        child: The program's process id.
        events: Gets a line for each moved socket.
    """

    def __init__(self, listener: int, child: int, events: TextIO) -> None:
        self._listener, self._child, self._events = listener, child, events
        self._ports: dict[tuple[int, int], int] = {}  # (session, requested port) -> actual port
        self._hosts: set[bytes] = set()  # requested addresses other than loopback
        self._wake, wake = os.pipe()
        for end in (self._wake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        seccomp.LIBC.prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def run(self) -> int:
        """Answer calls until the program ends; returns its exit status."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._child_has_ended():  # it may have before its signal was watched
            for descriptor, events in poll.poll():
                if descriptor == self._wake:
                    os.read(self._wake, 4096)
                elif events & select.POLLIN:
                    self._answer_next()
                else:
                    poll.unregister(self._listener)  # nobody is left who could ask
        self._end_descendants()
        return wait_for(self._child)

    def _child_has_ended(self) -> bool:
        """Reap what has ended; returns whether the program has, which is left to `wait_for`."""
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid == self._child:
                return True
            os.waitpid(ended.si_pid, 0)
        return False

    def _end_descendants(self) -> None:
        """Kill what the program has left: children of a killed process come here, until there are none."""
        deadline = time.monotonic() + END_SECONDS
        while (children := _children() - {self._child}) and time.monotonic() < deadline:
            for child in children:
                with contextlib.suppress(OSError):
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)

    def _answer_next(self) -> None:
        call = seccomp.receive(self._listener)
        if call is None:
            return
        try:
            is_answered = self._move(call) if call.is_bind else self._redirect(call)
        except OSError as error:
            seccomp.answer(self._listener, call.id, error.errno or errno.EINVAL)
            return
        if not is_answered:
            seccomp.answer(self._listener, call.id, None)

    def _move(self, call: seccomp.SystemCall) -> bool:
        """Bind the program's TCP socket to a private port; False for any other socket.

        Raises:
            OSError: What `bind` is to fail with.
        """
        target = _target(call.address)
        copy = seccomp.copy_socket(call.pid, call.descriptor) if target is not None else None
        if target is None or copy is None:
            return False
        host, port = target
        with copy:
            if copy.type != socket.SOCK_STREAM:
                return False
            session = _session(call.pid)
            if not _is_local(host):
                self._hosts.add(host)
            known = self._ports.get((session, port), 0) if port else 0
            address, actual = _bind_local(copy, known)
        self._ports[session, port or actual] = actual
        emit(
            self._events,
            f'{{"bound": {port or actual}, "address": "{address}", "port": {actual}, "session": {session}}}',
        )
        seccomp.answer(self._listener, call.id, 0)
        return True

    def _redirect(self, call: seccomp.SystemCall) -> bool:
        """Connect the program's TCP socket to a moved port; False where the port was not moved."""
        target = _target(call.address)
        if target is None:
            return False
        host, port = target
        actual = self._ports.get((_session(call.pid), port)) if _is_local(host) or host in self._hosts else None
        copy = seccomp.copy_socket(call.pid, call.descriptor) if actual is not None else None
        if actual is None or copy is None:
            return False
        if copy.type != socket.SOCK_STREAM:
            copy.close()
            return False
        # In a thread: a full backlog makes the connection wait.
        threading.Thread(target=self._connect, args=(call.id, copy, actual), daemon=True).start()
        return True

    def _connect(self, id: int, copy: socket.socket, port: int) -> None:
        error = 0
        with copy:
            try:
                copy.connect(("127.0.0.1" if copy.family == socket.AF_INET else "::ffff:127.0.0.1", port))
            except OSError as problem:
                error = problem.errno or errno.ECONNREFUSED
        seccomp.answer(self._listener, id, error)


def _target(address: bytes) -> tuple[bytes, int] | None:
    """Return the host (4 or 16 bytes; IPv4 where IPv6 maps it) and the port of an IP address; None for another."""
    family = struct.unpack_from("<H", address)[0] if len(address) >= 2 else 0
    if family == socket.AF_INET and len(address) >= 8:
        return address[4:8], struct.unpack_from(">H", address, 2)[0]
    if family == socket.AF_INET6 and len(address) >= 24:
        host = address[8:24]
        is_mapped = host[:12] == b"\0" * 10 + b"\xff\xff"
        return host[12:] if is_mapped else host, struct.unpack_from(">H", address, 2)[0]
    return None


def _bind_local(copy: socket.socket, port: int) -> tuple[str, int]:
    """Bind on 127.0.0.1; an IPv6 socket on the same address, mapped, or on ::1 if it takes IPv6 alone."""
    if copy.family == socket.AF_INET:
        copy.bind(("127.0.0.1", port))
        return "127.0.0.1", int(copy.getsockname()[1])
    is_ipv6_only = copy.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    copy.bind(("::1" if is_ipv6_only else "::ffff:127.0.0.1", port))
    return "::1" if is_ipv6_only else "127.0.0.1", int(copy.getsockname()[1])


def _children() -> set[int]:
    """Return the ids of this process's children."""
    found = set[int]()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/children", encoding="ascii") as file:
            found.update(map(int, file.read().split()))
    return found


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _is_local(host: bytes) -> bool:
    """Whether a host is loopback, or "any address", which connects to loopback."""
    return host[:1] == b"\x7f" and len(host) == 4 or host in (b"\0" * 4, b"\0" * 16, b"\0" * 15 + b"\1")
