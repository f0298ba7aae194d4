"""Installs a seccomp filter for `bind` and `connect`, and reads and answers what the kernel then asks.

Sources: seccomp_unotify(2), pidfd_getfd(2), linux/seccomp.h, linux/filter.h, linux/audit.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
from typing import NamedTuple

__all__ = ["LIBC", "SystemCall", "answer", "copy_socket", "install_filter", "read_memory", "receive"]

SYSTEM_CALLS = {  # architecture -> (audit code, bind, connect, seccomp)
    "x86_64": (0xC000003E, 49, 42, 317),
    "aarch64": (0xC00000B7, 200, 203, 277),
}
PIDFD_OPEN, PIDFD_GETFD = 434, 438
SET_NO_NEW_PRIVS = 38
SET_MODE_FILTER, NEW_LISTENER = 1, 1 << 3
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
CONTINUE = 1
RECEIVE, ANSWER = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV (80 bytes), SECCOMP_IOCTL_NOTIF_SEND (24)
NOTIFICATION = struct.Struct("<QIIiIQ6Q")  # id, pid, flags, number, architecture, instruction pointer, arguments
RESPONSE = struct.Struct("<QqiI")  # id, value, error, flags
LONGEST_ADDRESS = 128  # bytes of a socket address

LIBC = ctypes.CDLL(None, use_errno=True)


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction))]


class SystemCall(NamedTuple):
    """A `bind` or `connect` of the program that waits for an answer.

    Attributes:
        id: Of the notification.
        pid: Of the calling thread.
        is_bind: Whether the call is `bind`; otherwise it is `connect`.
        descriptor: Of the program's socket.
        address: The bytes of the socket address.
    """

    id: int
    pid: int
    is_bind: bool
    descriptor: int
    address: bytes


def install_filter() -> int | str:
    """Install the filter for this process; returns the listener's descriptor, or the reason for a failure."""
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
    listener = LIBC.syscall(seccomp, SET_MODE_FILTER, NEW_LISTENER, ctypes.byref(program))
    if listener < 0 and ctypes.get_errno() == errno.EACCES:  # without CAP_SYS_ADMIN
        LIBC.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        listener = LIBC.syscall(seccomp, SET_MODE_FILTER, NEW_LISTENER, ctypes.byref(program))
    if listener < 0:
        return f"seccomp user notification: {os.strerror(ctypes.get_errno())}"
    return int(listener)


def receive(listener: int) -> SystemCall | None:
    """Read the next call from the listener; None if its caller was interrupted or has ended.

    A call whose address cannot be read is answered with that error.
    """
    buffer = bytearray(NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, RECEIVE, buffer)
    except OSError:
        return None
    id, pid, _, number, _, _, *arguments = NOTIFICATION.unpack(buffer)
    try:
        address = read_memory(pid, arguments[1], min(arguments[2], LONGEST_ADDRESS))
    except OSError as error:
        answer(listener, id, error.errno or errno.EINVAL)
        return None
    return SystemCall(id, pid, number == SYSTEM_CALLS[os.uname().machine][1], arguments[0], address)


def answer(listener: int, id: int, error: int | None) -> None:
    """Answer a call.

    Args:
        listener: The filter's listener.
        id: Of the notification.
        error: The call's error number, 0 for success; None to let the kernel run the call as it is.
    """
    flags = CONTINUE if error is None else 0
    with contextlib.suppress(OSError):  # the caller was interrupted or has ended
        fcntl.ioctl(listener, ANSWER, RESPONSE.pack(id, 0, -(error or 0), flags))


def copy_socket(pid: int, descriptor: int) -> socket.socket | None:
    """Return a copy of a program's socket; None for a descriptor that is no socket or no longer open.

    Args:
        pid: Of any thread of the program.
        descriptor: The number of the socket in the program.
    """
    process = LIBC.syscall(PIDFD_OPEN, _process(pid), 0)
    if process < 0:
        return None
    try:
        copy = LIBC.syscall(PIDFD_GETFD, process, ctypes.c_int(descriptor & 0xFFFFFFFF), 0)
    finally:
        os.close(process)
    if copy < 0:
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None


def read_memory(pid: int, address: int, size: int) -> bytes:
    """Read `size` bytes of a program's memory. Raises OSError."""
    descriptor = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        return os.pread(descriptor, size, address)
    finally:
        os.close(descriptor)


def _process(thread: int) -> int:
    with open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("Tgid:"):
                return int(line.split()[1])
    return thread
