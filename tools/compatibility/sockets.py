"""Which sockets the processes below one process listen on, as /proc says it."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import struct
from pathlib import Path

__all__ = ["descendants", "exposed"]

LISTEN = "0A"


def descendants(pid: int) -> set[int]:
    """A process and all those below it."""
    parents = dict[int, int]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found, before = {pid}, 0
    while len(found) != before:
        before = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found


def exposed(pid: int) -> list[str]:
    """Addresses other than loopback on which the processes below this one listen, in whichever network namespace."""
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
    """An address of /proc/net/tcp: words of four bytes in the machine's order."""
    address, port = text.split(":")
    raw = b"".join(struct.pack("=I", int(address[at : at + 8], 16)) for at in range(0, len(address), 8))
    return ipaddress.ip_address(raw), int(port, 16)
