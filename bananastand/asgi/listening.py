"""Opens the listening socket of a server."""

from __future__ import annotations

import socket

__all__ = ["listen"]


def listen(host: str, port: int, *, backlog: int | None = 1024) -> socket.socket:
    """Return a TCP socket that is bound to an address.

    Args:
        host: An IPv4 or IPv6 address, or a host name.
        port: The port; 0 lets the system choose one.
        backlog: Connections that may wait until the server accepts them; None to bind without listening yet.

    Raises:
        OSError: The address cannot be bound; `filename` is HOST:PORT.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, proto=socket.IPPROTO_TCP)  # named, or asyncio leaves Nagle's delay on
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        if backlog is not None:
            listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from error
    return listener
