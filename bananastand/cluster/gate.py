"""A listening port that strangers cannot fill: connections that have yet to prove who they are, are few."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from bananastand.task_set import TaskSet

__all__ = ["Gate"]

MAX_STRANGERS = 256  # connections that have yet to prove who they are
BACKLOG = 100
PAUSE = 0.1  # seconds after a connection could not be accepted, because of the limit of open files

Factory = Callable[[Callable[[], None]], asyncio.BaseProtocol]


@dataclass(eq=False, slots=True)
class _Stranger:
    """A connection that has yet to prove who it is."""

    connection: socket.socket
    host: str


class Gate:
    """A server whose connections are strangers until they have proven who they are.

    Where there are too many strangers, the oldest one of the address with most of them is closed. So a machine that
    opens thousands of idle connections takes the place of its own ones.

    Args:
        factory: Makes the protocol of a connection, which is used after the TLS handshake. It gets a function to be
            called once the other end has proven who it is, or has left.
        context: For TLS; None for none.
        patience: Seconds for the handshake.
    """

    def __init__(self, factory: Factory, context: ssl.SSLContext | None, patience: float) -> None:
        self._factory, self._context = factory, context
        self._patience = patience if context is not None else None
        self._strangers: dict[_Stranger, None] = {}  # oldest first
        self._tasks = TaskSet()
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    def open(self, host: str, port: int) -> int:
        """Begin to listen on an address, and return the port. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self._listener.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(self._listener), name=f"gate {host}:{port}")
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        """Take no more connections, and close the strangers'."""
        if self._accepting is not None:
            self._accepting.cancel()
        if self._listener is not None:
            self._listener.close()
        for stranger in list(self._strangers):
            self._end(stranger)

    async def __aenter__(self) -> Gate:
        """Return the open gate."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(PAUSE)
                continue
            connection.setblocking(False)
            stranger = _Stranger(connection, str(address[0]))
            if len(self._strangers) >= MAX_STRANGERS:
                self._end(self._oldest_of_busiest())
            self._strangers[stranger] = None
            self._tasks.start(self._secure(stranger))

    def _oldest_of_busiest(self) -> _Stranger:
        host, _ = Counter(stranger.host for stranger in self._strangers).most_common(1)[0]
        return next(stranger for stranger in self._strangers if stranger.host == host)

    async def _secure(self, stranger: _Stranger) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._factory(lambda: self._forget(stranger)),
                stranger.connection,
                ssl=self._context,
                ssl_handshake_timeout=self._patience,
            )
        except OSError:  # it has left, or has no certificate of the cluster
            self._end(stranger)
            stranger.connection.close()

    def _forget(self, stranger: _Stranger) -> None:
        self._strangers.pop(stranger, None)

    def _end(self, stranger: _Stranger) -> None:
        """Close a connection: what has it sees its end."""
        self._forget(stranger)
        with contextlib.suppress(OSError):
            stranger.connection.shutdown(socket.SHUT_RDWR)
