"""Runs a program whose listening TCP sockets are moved to private ports of 127.0.0.1, whatever it asked for.

`python -I -S port_redirect.py EVENTS_FD -- COMMAND...` runs COMMAND with a seccomp filter that hands each `bind` and
`connect` of it and its descendants to this process, which then

- binds a TCP socket for 0.0.0.0:8000 to a free port of 127.0.0.1, and reports it, and
- leads a connection to port 8000 of this machine, made by the same program, to where that socket went.

So several copies of a program with a fixed port run beside each other, nothing of them listens outside of loopback, and
connections to elsewhere are as they were. UDP and Unix sockets are left alone. Programs that call `setsid` (forked
replicas) have ports of their own: moved ports are kept by session.

Events are lines of JSON: {"redirect": true} or {"redirect": false, "reason": ...} first, then for each socket
{"bound": 8000, "address": "127.0.0.1", "port": 41234, "session": PID}. `--probe` in place of EVENTS_FD prints the
first event and ends. Linux alone; the standard library alone. Sources: seccomp_unotify(2), pidfd_getfd(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import threading
from typing import NoReturn, TextIO

__all__ = ["main"]

# Numbers of the kernel's interface: seccomp_unotify(2), linux/seccomp.h, linux/filter.h, linux/audit.h.
SYSTEM_CALLS = {  # architecture -> (audit code, bind, connect, seccomp)
    "x86_64": (0xC000003E, 49, 42, 317),
    "aarch64": (0xC00000B7, 200, 203, 277),
}
PIDFD_OPEN, PIDFD_GETFD = 434, 438
SET_NO_NEW_PRIVS, SET_PDEATHSIG = 38, 1
SET_MODE_FILTER, NEW_LISTENER = 1, 1 << 3
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
CONTINUE = 1
RECEIVE, ANSWER = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV (80 bytes), SECCOMP_IOCTL_NOTIF_SEND (24)
NOTIFICATION = struct.Struct("<QIIiIQ6Q")  # id, pid, flags, number, architecture, instruction pointer, arguments
RESPONSE = struct.Struct("<QqiI")  # id, value, error, flags
LONGEST_ADDRESS = 128

libc = ctypes.CDLL(None, use_errno=True)


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction))]


def main(arguments: list[str]) -> int:
    """Run the command to its end; returns its exit status."""
    if arguments[:1] == ["--probe"]:
        return _probe()
    events = os.fdopen(int(arguments[0]), "w", buffering=1)
    os.set_inheritable(events.fileno(), False)
    command = arguments[2:]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        ours.close()
        _become(command, theirs)
    theirs.close()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # the group gets them: the program decides
        signal.signal(number, signal.SIG_IGN)
    listener, reason = _receive_listener(ours)
    ours.close()
    if listener is None:
        _emit(events, f'{{"redirect": false, "reason": "{reason}"}}')
        return _wait(child)
    _emit(events, '{"redirect": true}')
    return _Supervisor(listener, child, events).run()


def _emit(events: TextIO, line: str) -> None:
    with contextlib.suppress(OSError):  # whoever listened is gone, and this process is about to be
        events.write(f"{line}\n")


def _probe() -> int:
    """Whether the kernel lets a socket be moved, tried for real."""
    read, write = os.pipe()
    code = "import socket; s = socket.socket(); s.bind(('0.0.0.0', 8000)); s.listen(); print(s.getsockname())"
    pid = os.fork()
    if pid == 0:
        os.close(read)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(main([str(write), "--", sys.executable, "-I", "-S", "-c", code]))
    os.close(write)
    with os.fdopen(read) as file:
        lines = file.read().splitlines()
    status = _wait(pid)
    if status == 0 and len(lines) == 2 and '"bound": 8000' in lines[1]:
        print(lines[0])  # noqa: T201
        return 0
    reason = lines[0] if lines and "reason" in lines[0] else '{"redirect": false, "reason": "sockets are not moved"}'
    print(reason)  # noqa: T201
    return 1


def _become(command: list[str], socket_out: socket.socket) -> NoReturn:
    """The child: dies with its parent, installs the filter, hands its listener over, and runs the program."""
    try:
        libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        listener = _install_filter()
        if isinstance(listener, str):
            socket_out.send(listener.encode())
        else:
            socket.send_fds(socket_out, [b"ok"], [listener])
            os.close(listener)
        socket_out.close()
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: cannot be run: {error.strerror}\n")
    finally:
        os._exit(127)


def _install_filter() -> int | str:
    """The filter's listener, or why there is none."""
    numbers = SYSTEM_CALLS.get(os.uname().machine)
    if numbers is None:
        return f"not known for {os.uname().machine}"
    architecture, bind, connect, seccomp = numbers
    steps = [
        (LOAD, 0, 0, 4),  # seccomp_data.arch
        (JUMP_EQUAL, 0, 4, architecture),
        (LOAD, 0, 0, 0),  # seccomp_data.nr
        (JUMP_EQUAL, 1, 0, bind),
        (JUMP_EQUAL, 0, 1, connect),
        (RETURN, 0, 0, NOTIFY),
        (RETURN, 0, 0, ALLOW),
    ]
    instructions = (_Instruction * len(steps))(*(_Instruction(*step) for step in steps))
    program = _Program(len(steps), instructions)
    listener = libc.syscall(seccomp, SET_MODE_FILTER, NEW_LISTENER, ctypes.byref(program))
    if listener < 0 and ctypes.get_errno() == errno.EACCES:  # without CAP_SYS_ADMIN
        libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        listener = libc.syscall(seccomp, SET_MODE_FILTER, NEW_LISTENER, ctypes.byref(program))
    if listener < 0:
        return f"seccomp user notification: {os.strerror(ctypes.get_errno())}"
    return int(listener)


def _receive_listener(source: socket.socket) -> tuple[int | None, str]:
    message, descriptors, _, _ = socket.recv_fds(source, 1024, 1)
    if descriptors:
        return descriptors[0], ""
    return None, message.decode() or "the program could not be started"


def _wait(child: int) -> int:
    """The child's exit status; a signal that ended it ends this process too."""
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    return code


class _Supervisor:
    """Answers the kernel for the program until it ends."""

    def __init__(self, listener: int, child: int, events: TextIO) -> None:
        self._listener, self._child, self._events = listener, child, events
        _, self._bind, self._connect, _ = SYSTEM_CALLS[os.uname().machine]
        self._ports: dict[tuple[int, int], int] = {}  # (session, port asked for) -> port it has
        self._hosts: set[bytes] = set()  # addresses other than loopback that were asked for
        self._wake, wake = os.pipe()
        for end in (self._wake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def run(self) -> int:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._listener:
                    self._answer_one()
                else:
                    os.read(self._wake, 4096)
                    if self._ended():
                        return _wait(self._child)

    def _ended(self) -> bool:
        return os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _answer_one(self) -> None:
        buffer = bytearray(NOTIFICATION.size)
        try:
            fcntl.ioctl(self._listener, RECEIVE, buffer)
        except OSError:
            return  # the caller was interrupted or is gone
        id, pid, _, number, _, _, *arguments = NOTIFICATION.unpack(buffer)
        try:
            decided = self._decide(id, pid, number, arguments)
        except OSError as error:
            decided = error.errno or errno.EINVAL
        if decided is not None:
            self._reply(id, decided)

    def _reply(self, id: int, decided: int) -> None:
        """decided: CONTINUE as -1, 0 for done, or an error number."""
        flags = CONTINUE if decided < 0 else 0
        with contextlib.suppress(OSError):  # the caller was interrupted or is gone
            fcntl.ioctl(self._listener, ANSWER, RESPONSE.pack(id, 0, -max(decided, 0), flags))

    def _decide(self, id: int, pid: int, number: int, arguments: list[int]) -> int | None:
        """What becomes of the call: see `_reply`; None where a thread answers later."""
        address = _read(pid, arguments[1], min(arguments[2], LONGEST_ADDRESS))
        family = struct.unpack_from("<H", address)[0] if len(address) >= 2 else 0
        if (family, len(address)) < (socket.AF_INET, 8) or family not in (socket.AF_INET, socket.AF_INET6):
            return -1
        if family == socket.AF_INET6 and len(address) < 24:
            return -1
        port, host = struct.unpack_from(">H", address, 2)[0], _host(family, address)
        if number == self._connect and not self._is_moved(pid, host, port):
            return -1
        taken = _take(pid, arguments[0])
        if taken is None or taken.type != socket.SOCK_STREAM:
            return -1
        if number == self._bind:
            with taken:
                return self._move(pid, taken, host, port)
        threading.Thread(target=self._lead, args=(id, pid, taken, port), daemon=True).start()
        return None

    def _is_moved(self, pid: int, host: bytes, port: int) -> bool:
        if not (_is_local(host) or host in self._hosts):
            return False
        return (_session(pid), port) in self._ports

    def _move(self, pid: int, taken: socket.socket, host: bytes, port: int) -> int:
        """Bind the program's socket on loopback. Returns 0, or raises OSError for the program."""
        session = _session(pid)
        if not _is_local(host):
            self._hosts.add(host)
        known = self._ports.get((session, port), 0) if port else 0
        place = _bind_local(taken, known)
        self._ports[session, port or place[1]] = place[1]
        _emit(
            self._events,
            f'{{"bound": {port or place[1]}, "address": "{place[0]}", "port": {place[1]}, "session": {session}}}',
        )
        return 0

    def _lead(self, id: int, pid: int, taken: socket.socket, port: int) -> None:
        """Connect the program's socket to where the port went. In a thread: a full backlog makes it wait."""
        with taken:
            place = self._ports[_session(pid), port]
            error = 0
            try:
                taken.connect(("127.0.0.1", place) if taken.family == socket.AF_INET else ("::ffff:127.0.0.1", place))
            except OSError as problem:
                error = problem.errno or errno.ECONNREFUSED
        self._reply(id, error)


def _bind_local(taken: socket.socket, port: int) -> tuple[str, int]:
    """Bind on 127.0.0.1; an IPv6 socket on the same address, mapped, or on ::1 if it takes IPv6 alone."""
    if taken.family == socket.AF_INET:
        taken.bind(("127.0.0.1", port))
        return "127.0.0.1", int(taken.getsockname()[1])
    alone = taken.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    address = "::1" if alone else "::ffff:127.0.0.1"
    taken.bind((address, port))
    return "::1" if alone else "127.0.0.1", int(taken.getsockname()[1])


def _take(pid: int, descriptor: int) -> socket.socket | None:
    """A copy of the program's socket. `pid` may be a thread's: its process is opened then."""
    process = libc.syscall(PIDFD_OPEN, _process(pid), 0)
    if process < 0:
        return None
    try:
        copy = libc.syscall(PIDFD_GETFD, process, ctypes.c_int(descriptor & 0xFFFFFFFF), 0)
    finally:
        os.close(process)
    if copy < 0:
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None


def _process(thread: int) -> int:
    with open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("Tgid:"):
                return int(line.split()[1])
    return thread


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _read(pid: int, address: int, size: int) -> bytes:
    """The program's memory."""
    descriptor = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        return os.pread(descriptor, size, address)
    finally:
        os.close(descriptor)


def _host(family: int, address: bytes) -> bytes:
    """Four or sixteen bytes; IPv4 where IPv6 maps it."""
    if family == socket.AF_INET:
        return address[4:8]
    host = address[8:24]
    return host[12:] if host[:12] == b"\0" * 10 + b"\xff\xff" else host


def _is_local(host: bytes) -> bool:
    """Loopback, or "any address", which connects to loopback."""
    return host[:1] == b"\x7f" and len(host) == 4 or host in (b"\0" * 4, b"\0" * 16, b"\0" * 15 + b"\1")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
