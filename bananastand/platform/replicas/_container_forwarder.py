"""Relays connections to an app in a container's network, also to one that listens on the container's loopback only.

It runs in one of two places:

- `python -I -S _container_forwarder.py PORT SECONDS PID NAME=VALUE` on the machine of the container, by a user who may
  enter its network. It listens on a private port of this machine's loopback.
- `python3 -c SOURCE PORT SECONDS` in the container, by `docker exec`. It listens on PORT of the container's own
  addresses, which the published port leads to, once the app listens on loopback there.

PORT is the expected port. After SECONDS without a listener there, any other port counts (on this machine only). PID is
a process of the container, and NAME=VALUE one of its variables, which another process of that id lacks.

Events are lines of JSON: {"port": N} for the port that relays, null for the published one; {"listeners": ["127.0.0.1",
5000], ...], "unix": [PATH, ...]} whenever they change; {"failed": REASON}. Linux, the standard library and Python 3.7
suffice.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import ipaddress
import json
import os
import signal
import socket
import struct
import sys
import time
from typing import Any

__all__ = ["Forwarder", "find_listeners", "main"]

CLONE_NEWNET = 0x40000000
SET_PDEATHSIG = 1  # prctl(2)
SIOCGIFADDR = 0x8915
LISTEN = "0A"
ACCEPTS = 0x10000  # the flag of a listening Unix socket
PAUSE = 0.1  # seconds between two looks for listeners
CHUNK = 65536
NAMESERVER = "127.0.0.11"  # docker's own, in every container of a named network


def main(arguments: list[str]) -> int:
    """Relay until the container ends; returns 1 if its network cannot be entered."""
    port, seconds = int(arguments[0]), float(arguments[1])
    outside = None
    if len(arguments) > 2:
        ctypes.CDLL(None).prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        outside = socket.create_server(("127.0.0.1", 0))
        try:
            _enter_network(int(arguments[2]), arguments[3])
        except OSError as error:
            _emit({"failed": error.strerror or str(error)})
            return 1
    asyncio.run(Forwarder(port, seconds, outside).run())
    return 0


class Forwarder:
    """Watches the listeners of this network, and relays to the app's.

    Args:
        port: The expected port.
        seconds: The time after which another port counts.
        outside: A listening socket of another network; None to listen in this one.
    """

    def __init__(self, port: int, seconds: float, outside: socket.socket | None) -> None:
        self._port, self._outside = port, outside
        self._accepts_any_port_at = time.monotonic() + seconds
        self._target: tuple[str, int] | None = None
        self._own: list[tuple[str, int]] = []

    async def run(self) -> None:
        """Relay forever."""
        events, is_open = None, False
        while True:
            found = [address for address in find_listeners() if address not in self._own]
            seen = {"listeners": found, "unix": _unix_listeners()}
            if seen != events:
                events = seen
                _emit(seen)
            self._target = self._choose(found)
            if self._target is not None and not is_open:
                is_open = await self._open(self._target)
            await asyncio.sleep(PAUSE if not is_open else 10 * PAUSE)

    def _choose(self, found: list[tuple[str, int]]) -> tuple[str, int] | None:
        """Return the address to connect to: of the expected port, else of the likeliest other one."""
        expected = [address for address in found if address[1] == self._port]
        if not expected and self._outside is not None and time.monotonic() > self._accepts_any_port_at:
            expected = found
        for host, port in sorted(expected, key=lambda address: (ipaddress.ip_address(address[0]).is_loopback, address)):
            host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
            return host, port
        return None

    async def _open(self, target: tuple[str, int]) -> bool:
        """Listen for connections to relay; returns whether there is a need and a way."""
        if self._outside is not None:
            await asyncio.start_server(self._relay, sock=self._outside)
            _emit({"port": self._outside.getsockname()[1]})
            return True
        if not ipaddress.ip_address(target[0]).is_loopback or (target[0], self._port) not in find_listeners():
            return False  # the published port leads to it
        for address in _own_addresses():
            with contextlib.suppress(OSError):
                await asyncio.start_server(self._relay, address, self._port)
                self._own.append((address, self._port))
        if self._own:
            _emit({"port": None})
        return bool(self._own)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._target is None:
                return
            inner_reader, inner_writer = await asyncio.open_connection(*self._target)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
            inner_writer.close()
        except OSError:
            pass
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of one direction, and pass that end on; a broken connection breaks the other one too."""
    try:
        while True:
            chunk = await reader.read(CHUNK)
            if not chunk:
                break
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


def find_listeners() -> list[tuple[str, int]]:
    """Return the addresses of all listening TCP sockets of this network."""
    found: set[tuple[str, int]] = set()
    for name in ("tcp", "tcp6"):
        for line in _lines(name):
            words = line.split()
            if words[3] == LISTEN:
                address, _, port = words[1].partition(":")
                found.add((_readable(address), int(port, 16)))
    return sorted(address for address in found if address[0] != NAMESERVER)


def _readable(text: str) -> str:
    """Return an address of /proc/net/tcp, which writes it as hexadecimal words of this machine's byte order."""
    words = [text[at : at + 8] for at in range(0, len(text), 8)]
    packed = b"".join(struct.pack("=I", int(word, 16)) for word in words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _unix_listeners() -> list[str]:
    """Return the paths of all listening Unix sockets."""
    rows = [line.split() for line in _lines("unix")]
    return sorted({row[7] for row in rows if len(row) > 7 and int(row[3], 16) & ACCEPTS})


def _lines(name: str) -> list[str]:
    try:
        with open(f"/proc/thread-self/net/{name}") as file:
            return file.read().splitlines()[1:]
    except OSError:  # a machine without IPv6
        return []


def _own_addresses() -> list[str]:
    """Return the addresses of this network's interfaces, except loopback's."""
    addresses: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # one without an address
                request = struct.pack("256s", name.encode()[:15])
                addresses.append(socket.inet_ntoa(fcntl.ioctl(probe.fileno(), SIOCGIFADDR, request)[20:24]))
    return [address for address in addresses if not ipaddress.ip_address(address).is_loopback]


def _enter_network(pid: int, variable: str) -> None:
    """Enter the network of a container's process, which must have this variable. Raises OSError."""
    with open(f"/proc/{pid}/ns/net") as network:
        with open(f"/proc/{pid}/environ", "rb") as file:
            if variable.encode() not in file.read().split(b"\0"):
                raise OSError(f"process {pid} of this machine is another one")
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(network.fileno(), CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _emit(event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
