"""Moves the listening TCP sockets of this Python process to private ports of 127.0.0.1.

For systems where the kernel does not do it for every program (`platform/replicas/port_redirect.py`). Sees what Python's
`socket` module opens in this process, which is what the servers of Python are made of.
"""

from __future__ import annotations

import socket
from typing import Any, Callable, Dict

__all__ = ["move_listeners"]

LOCAL = ("", "0.0.0.0", "::", "localhost", "::1")
Report = Callable[[Dict[str, Any]], None]


def move_listeners(report: Report) -> None:
    """From now on. report: called with {"bound": port asked for, "address", "port"}."""
    moved: dict[int, int] = {}
    kind: Any = socket.socket
    bind, connect, connect_ex = kind.bind, kind.connect, kind.connect_ex

    def is_tcp(each: Any) -> bool:
        return each.family in (socket.AF_INET, socket.AF_INET6) and each.type & 0xF == socket.SOCK_STREAM

    def private_bind(self: Any, address: Any) -> None:
        if not is_tcp(self):
            return bind(self, address)
        port, inside = address[1], "127.0.0.1"
        if self.family == socket.AF_INET6:
            self.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            inside = "::ffff:127.0.0.1"
        bind(self, (inside, moved.get(port, 0)))
        place = self.getsockname()[1]
        moved[port or place] = place
        report({"bound": port or place, "address": "127.0.0.1", "port": place})
        return None

    def led(self: Any, address: Any) -> Any:
        if not is_tcp(self) or not isinstance(address, tuple) or address[1] not in moved:
            return address
        if address[0] not in LOCAL and not str(address[0]).startswith("127."):
            return address
        inside = "127.0.0.1" if self.family == socket.AF_INET else "::ffff:127.0.0.1"
        return (inside, moved[address[1]])

    def led_connect(self: Any, address: Any) -> Any:
        return connect(self, led(self, address))

    def led_connect_ex(self: Any, address: Any) -> Any:
        return connect_ex(self, led(self, address))

    kind.bind, kind.connect, kind.connect_ex = private_bind, led_connect, led_connect_ex
