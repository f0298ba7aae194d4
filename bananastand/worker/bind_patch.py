"""Moves the listening TCP sockets of this Python process to private ports of 127.0.0.1.

For systems where the kernel does not do it for every program (`platform/replicas/_port_redirect`). It patches Python's
`socket` module, which the servers of Python use.
"""

from __future__ import annotations

import socket
from typing import Any, Callable, Dict

__all__ = ["move_listeners"]

LOCAL = ("", "0.0.0.0", "::", "localhost", "::1")
Report = Callable[[Dict[str, Any]], None]


def move_listeners(report: Report) -> None:
    """Move every socket that is bound from now on.

    Args:
        report: Called with {"bound": requested port, "address", "port"} for each socket.
    """
    moved: dict[int, int] = {}
    kind: Any = socket.socket
    bind, connect, connect_ex = kind.bind, kind.connect, kind.connect_ex

    def is_tcp(candidate: Any) -> bool:
        return candidate.family in (socket.AF_INET, socket.AF_INET6) and candidate.type & 0xF == socket.SOCK_STREAM

    def private_bind(self: Any, address: Any) -> None:
        if not is_tcp(self):
            return bind(self, address)
        port, inside = address[1], "127.0.0.1"
        if self.family == socket.AF_INET6:
            self.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            inside = "::ffff:127.0.0.1"
        bind(self, (inside, moved.get(port, 0)))
        actual = self.getsockname()[1]
        moved[port or actual] = actual
        report({"bound": port or actual, "address": "127.0.0.1", "port": actual})
        return None

    def redirected(self: Any, address: Any) -> Any:
        if not is_tcp(self) or not isinstance(address, tuple) or address[1] not in moved:
            return address
        if address[0] not in LOCAL and not str(address[0]).startswith("127."):
            return address
        inside = "127.0.0.1" if self.family == socket.AF_INET else "::ffff:127.0.0.1"
        return (inside, moved[address[1]])

    def redirected_connect(self: Any, address: Any) -> Any:
        return connect(self, redirected(self, address))

    def redirected_connect_ex(self: Any, address: Any) -> Any:
        return connect_ex(self, redirected(self, address))

    kind.bind, kind.connect, kind.connect_ex = private_bind, redirected_connect, redirected_connect_ex
