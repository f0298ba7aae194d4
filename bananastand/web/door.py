"""Lets connections in: counts them, looks for those that keep silent, makes room, and logs what was refused.

Knows no protocol: a connection says when it is silent, when it speaks, and drops itself when asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Literal, Protocol

from .limits import ConnectionLimits, connections_for, raise_open_files

__all__ = ["Admission", "Connection", "Door"]

log = logging.getLogger("bananastand.connections")

Admission = Literal["usual", "reserve", "full"]
MINUTE = 60.0


class Connection(Protocol):
    """What a door lets in."""

    def look(self, now: float) -> None:
        """Compare the time with the limits."""
        ...

    def drop(self) -> None:
        """Close at once."""
        ...


class Door:
    """Of one server. To be used on its event loop.

    Args:
        limits: Of its connections.
        name: Of the server, in the log.
        raise_files: Whether the process belongs to this server, so that its limit of open files may be raised.
    """

    def __init__(self, limits: ConnectionLimits, *, name: str = "server", raise_files: bool = False) -> None:
        self.limits, self.name = limits, name
        files = raise_open_files() if raise_files else _open_files()
        self.most = limits.connections or connections_for(files)
        self._open: set[Connection] = set()
        self._silent: OrderedDict[Connection, None] = OrderedDict()  # longest first
        self._timer: asyncio.TimerHandle | None = None
        self._closed = self._refused = 0  # since the last line of the log
        self._quiet = False

    def enter(self, connection: Connection) -> Admission:
        """Let a connection in, which is silent at first.

        Returns:
            "usual", "reserve" for one beyond the usual number, or "full" if it must be closed.
        """
        if len(self._open) >= self.most and self._silent:
            longest, _ = self._silent.popitem(last=False)
            self.leave(longest)
            longest.drop()
            self._closed += 1
            self._report()
        if len(self._open) >= self.most + self.limits.reserve:
            self.refused()
            return "full"
        admission: Admission = "usual" if len(self._open) < self.most else "reserve"
        self._open.add(connection)
        self._silent[connection] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.limits.period, self._look)
        return admission

    def refused(self) -> None:
        """One more was refused."""
        self._refused += 1
        self._report()

    def silent(self, connection: Connection) -> None:
        """From now on it may be closed to make room."""
        if connection in self._open:
            self._silent[connection] = None

    def speaking(self, connection: Connection) -> None:
        """It has sent a request."""
        self._silent.pop(connection, None)

    def leave(self, connection: Connection) -> None:
        """It is closed."""
        self._open.discard(connection)
        self._silent.pop(connection, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._open):
            connection.look(now)
        self._timer = loop.call_later(self.limits.period, self._look) if self._open else None

    def _report(self) -> None:
        """Log at once, then once a minute."""
        if self._quiet or not (self._closed or self._refused):
            return
        log.warning(
            "%s has %d connections, its limit: %d silent ones were closed and %d new ones refused; a higher limit of "
            "open files (ulimit -n) allows more",
            self.name, self.most, self._closed, self._refused,
        )  # fmt: skip
        self._closed = self._refused = 0
        self._quiet = True
        asyncio.get_running_loop().call_later(MINUTE, self._again)

    def _again(self) -> None:
        self._quiet = False
        self._report()


def _open_files() -> int:
    try:
        import resource
    except ImportError:
        return 2**16
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 2**16 if soft == resource.RLIM_INFINITY else soft
