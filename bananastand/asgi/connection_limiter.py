"""Limits the connections of a server: counts them, times out silent ones, makes room, and logs what was refused."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Literal, Protocol

from .limits import ConnectionLimits, connections_for, raise_open_files

__all__ = ["Admission", "Connection", "ConnectionLimiter"]

log = logging.getLogger("bananastand.connections")

Admission = Literal["usual", "reserve", "full"]
REPORT_SECONDS = 60.0  # between two log lines


class Connection(Protocol):
    """A connection as its limiter sees it."""

    def check_timeouts(self, now: float) -> None:
        """Compare the loop's time with the limits, and act on what is exceeded."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


class ConnectionLimiter:
    """Admits the connections of one server, on its event loop.

    Args:
        limits: The limits of its connections.
        name: The server's name, for the log.
        raise_files: Whether the process belongs to this server, so that its limit of open files may be raised.

    Attributes:
        max_connections: Connections that are admitted without the reserve.
    """

    def __init__(self, limits: ConnectionLimits, *, name: str = "server", raise_files: bool = False) -> None:
        self.limits, self._name = limits, name
        files = raise_open_files() if raise_files else _open_files()
        self.max_connections = limits.connections or connections_for(files)
        self._open: set[Connection] = set()
        self._idle: OrderedDict[Connection, None] = OrderedDict()  # the longest idle first
        self._timer: asyncio.TimerHandle | None = None
        self._closed = self._refused = 0  # since the last log line
        self._has_reported = False

    def admit(self, connection: Connection) -> Admission:
        """Admit a connection, which is idle at first. Where all are taken, the longest idle one is closed.

        Returns:
            "usual", "reserve" for one beyond the usual number, or "full" if it must be closed.
        """
        if len(self._open) >= self.max_connections and self._idle:
            longest, _ = self._idle.popitem(last=False)
            self.release(longest)
            longest.abort()
            self._closed += 1
            self._report()
        if len(self._open) >= self.max_connections + self.limits.reserve:
            self.count_refusal()
            return "full"
        admission: Admission = "usual" if len(self._open) < self.max_connections else "reserve"
        self._open.add(connection)
        self._idle[connection] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.limits.check_interval, self._check_all)
        return admission

    def count_refusal(self) -> None:
        """Count a connection that was refused, for the log."""
        self._refused += 1
        self._report()

    def mark_idle(self, connection: Connection) -> None:
        """Note that a connection waits for a request: it may be closed to make room."""
        if connection in self._open:
            self._idle[connection] = None

    def mark_busy(self, connection: Connection) -> None:
        """Note that a connection has sent a request."""
        self._idle.pop(connection, None)

    def release(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        self._idle.pop(connection, None)

    def _check_all(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._open):
            connection.check_timeouts(now)
        self._timer = loop.call_later(self.limits.check_interval, self._check_all) if self._open else None

    def _report(self) -> None:
        """Log at once, and then at most once in REPORT_SECONDS."""
        if self._has_reported or not (self._closed or self._refused):
            return
        log.warning(
            "%s has %d connections, its limit: %d silent ones were closed and %d new ones refused; a higher limit of "
            "open files (ulimit -n) allows more",
            self._name,
            self.max_connections,
            self._closed,
            self._refused,
        )
        self._closed = self._refused = 0
        self._has_reported = True
        asyncio.get_running_loop().call_later(REPORT_SECONDS, self._report_again)

    def _report_again(self) -> None:
        self._has_reported = False
        self._report()


def _open_files() -> int:
    try:
        import resource
    except ImportError:
        return 2**16
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 2**16 if soft == resource.RLIM_INFINITY else soft
