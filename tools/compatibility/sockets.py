"""Finds the sockets on which the processes below one process listen.

The tables of /proc are read by process, as psutil reads only those of its own network namespace.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import struct
from pathlib import Path

import psutil

__all__ = ["descendants", "exposed"]

LISTEN = "0A"


def descendants(pid: int) -> set[int]:
    """Return a process and all those below it."""
    return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}


def exposed(pid: int) -> list[str]:
    """Return addresses other than loopback on which processes below this one listen, in any network namespace."""
    found = list[str]()
    for process in sorted(descendants(pid)):
        inodes = _inodes(process)
        for table in ("tcp", "tcp6"):
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
                    words = line.split()
                    if words[3] == LISTEN and words[9] in inodes and not _address(words[1])[0].is_loopback:
                        address, port = _address(words[1])
                        found.append(f"{address}:{port} (process {process})")
    return found


def _inodes(pid: int) -> set[str]:
    found = set[str]()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(entry)
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def _address(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """Parse an address of /proc/net/tcp: words of four bytes in the machine's order."""
    address, port = text.split(":")
    raw = b"".join(struct.pack("=I", int(address[at : at + 8], 16)) for at in range(0, len(address), 8))
    return ipaddress.ip_address(raw), int(port, 16)
